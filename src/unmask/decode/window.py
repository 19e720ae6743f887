"""What a schedule answers: where may we write now?"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unmask.canvas.canvas import MASKED, Canvas


class Window(NamedTuple):
    """The place of one forward.

    ``eligible``: open positions that may be written, ascending. ``frontier``: start and stop of the
    first unfinished block, in which at least one token is owed. ``since``: the forward after which
    this block became the frontier. ``stop``: end of the last block in flight. ``reach``: end of
    what the model gets to see; masks (and padding) behind it are left out of the forward.
    """

    eligible: NDArray[np.intp]
    frontier: tuple[int, int]
    since: int
    stop: int
    reach: int


class Schedule(Protocol):
    """A pure function of the canvas: births tell the age and the progress of every block."""

    ahead: bool
    """Whether it opens blocks before those on their left are finished."""

    def __call__(self, canvas: Canvas) -> Window:
        """The window of an unfinished canvas."""
        ...


def window_of(canvas: Canvas, frontier: tuple[int, int], stop: int, unseen: int = 0) -> Window:
    """The window of the blocks from the ``frontier`` to ``stop``.

    The last ``unseen`` positions are left out of the forward, but never given text: what stands
    behind a gap belongs to the question.
    """
    start = frontier[0]
    before = canvas.born_L[canvas.prompt_length : start]
    eligible = np.flatnonzero(canvas.born_L[start:stop] == MASKED) + start
    reach = max(len(canvas) - unseen, canvas.given)
    return Window(eligible, frontier, int(before.max(initial=0)), stop, reach)


def beyond(canvas: Canvas, stop: int, block_length: int, horizon: int | None) -> int:
    """How many positions lie more than ``horizon`` blocks behind ``stop``; None: 0."""
    if horizon is None:
        return 0
    return max(0, len(canvas) - stop - horizon * block_length)
