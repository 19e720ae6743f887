"""What a schedule answers: where may we write now?"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unmask.canvas.canvas import MASKED, Canvas
from unmask.decode.settings import Card, Option, Settings
from unmask.errors import InputError

BLOCK_LENGTH = Option(
    "block_length", int, 32, "positions in a block; at most those of a block-causal model's own",
    low=1, own_block=True,
)  # fmt: skip
HORIZON: Option[int | None] = Option(
    "horizon", int, None, "feed only so many blocks of masks behind the open ones"
)


class Window(NamedTuple):
    """The place of one forward.

    ``eligible``: open positions that may be written, ascending. ``edges``: where the blocks in
    flight begin and end, ascending: the start of the first unfinished one, its end, the end of the
    next one, and so on. ``since``: the forward after which the first became that. ``reach``: end of
    what the model gets to see; masks (and padding) behind it are left out of the forward.
    """

    eligible: NDArray[np.intp]
    edges: tuple[int, ...]
    since: int
    reach: int

    @property
    def frontier(self) -> tuple[int, int]:
        """Start and stop of the first unfinished block, in which at least one token is owed."""
        return self.edges[0], self.edges[1]

    @property
    def stop(self) -> int:
        """End of the last block in flight."""
        return self.edges[-1]

    def blocks(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """The block of every position of ``at``; 0 is the frontier."""
        return np.searchsorted(self.edges[1:], at, side="right")


class Schedule(Protocol):
    """A pure function of the canvas: births tell the age and the progress of every block."""

    ahead: bool
    """Whether it opens blocks before those on their left are finished."""

    @property
    def length(self) -> int | None:
        """Positions in a block; None: the answer is one block."""
        ...

    def __call__(self, canvas: Canvas) -> Window:
        """The window of an unfinished canvas."""
        ...


def window_of(canvas: Canvas, edges: tuple[int, ...], sight: int | None = None) -> Window:
    """The window of the blocks with these ``edges``.

    ``sight``: how many positions behind them are fed, None for all. Text that is given is fed in
    any case: what stands behind a gap belongs to the question.
    """
    start, stop, end = edges[0], edges[-1], len(canvas)
    before = canvas.born_L[canvas.prompt_length : start]
    eligible = np.flatnonzero(canvas.born_L[start:stop] == MASKED) + start
    reach = end if sight is None else max(min(stop + sight, end), canvas.given)
    return Window(eligible, edges, int(before.max(initial=0)), reach)


def sight_of(settings: Settings, card: Card) -> int | None:
    """The horizon in positions.

    Raises:
        InputError: the model sees none.
    """
    horizon = settings[HORIZON]
    if horizon is None:
        return None
    if card.span is not None:
        told = f"{HORIZON.name}={horizon} has no meaning for {card.name!r}, which sees nothing"
        hint = "drop it"
        raise InputError(
            f"{told} behind its own block", field=HORIZON.name, given=horizon, hint=hint
        )
    return horizon * settings[BLOCK_LENGTH]
