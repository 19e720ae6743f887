"""Schedule ``left_to_right``: only the first open position, the order of autoregressive models."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Schedule, Window, window_of


@dataclass(frozen=True)
class LeftToRight:
    """Blocks of one."""

    ahead, length = False, 1

    def __call__(self, canvas: Canvas) -> Window:
        """The first open position."""
        first = int(canvas.open[0])
        return window_of(canvas, (first, first + 1))


OPTIONS = ()


def build(settings: Settings, card: Card) -> Schedule:
    """The schedule, for any model."""
    del settings, card
    return LeftToRight()
