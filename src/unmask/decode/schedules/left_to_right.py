"""Schedule ``left_to_right``: only the first open position, the order of autoregressive models."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.window import Schedule, Window, block_window


@dataclass(frozen=True)
class LeftToRight:
    """Blocks of one."""

    def __call__(self, canvas: Canvas) -> Window:
        """The first open position."""
        first = int(canvas.open[0])
        return block_window(canvas, first, first + 1)


def build(block_length: int) -> Schedule:
    """The schedule; block length has no meaning here."""
    del block_length
    return LeftToRight()
