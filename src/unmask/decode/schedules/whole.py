"""Schedule ``whole``: every open position of the answer may be written at any time."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.window import Schedule, Window, block_window


@dataclass(frozen=True)
class Whole:
    """One block: the answer."""

    def __call__(self, canvas: Canvas) -> Window:
        """The answer region."""
        return block_window(canvas, canvas.prompt_length, len(canvas))


def build(block_length: int) -> Schedule:
    """The schedule; block length has no meaning here."""
    del block_length
    return Whole()
