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
    this block became the frontier.
    """

    eligible: NDArray[np.intp]
    frontier: tuple[int, int]
    since: int


class Schedule(Protocol):
    """A pure function of the canvas: births tell the age and the progress of every block."""

    def __call__(self, canvas: Canvas) -> Window:
        """The window of an unfinished canvas."""
        ...


def block_window(canvas: Canvas, start: int, stop: int) -> Window:
    """The window of a single open block [start, stop)."""
    before = canvas.born_L[canvas.prompt_length : start]
    eligible = np.flatnonzero(canvas.born_L[start:stop] == MASKED) + start
    return Window(eligible, (start, stop), int(before.max(initial=0)))
