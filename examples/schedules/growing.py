"""Schedule ``growing``: every block is twice as long as the one before it."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Card, Settings
from unmask.decode.window import BLOCK_LENGTH, Schedule, Window, window_of


@dataclass(frozen=True)
class Growing:
    """``length``: of the first block."""

    length: int
    ahead = False

    def __call__(self, canvas: Canvas) -> Window:
        """The first block with a mask in it."""
        first, start, length = int(canvas.open[0]), canvas.prompt_length, self.length
        while start + length <= first:
            start, length = start + length, 2 * length
        stop = min(start + length, len(canvas))
        return window_of(canvas, (start, stop))


OPTIONS = (BLOCK_LENGTH,)


def build(settings: Settings, card: Card) -> Schedule:
    """The schedule, for any model but those that look left only."""
    settings.fit("schedule", card, fits=not card.causal)
    return Growing(settings[BLOCK_LENGTH])
