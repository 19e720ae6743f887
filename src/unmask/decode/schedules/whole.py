"""Schedule ``whole``: every open position of the answer may be written at any time."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Schedule, Window, window_of


@dataclass(frozen=True)
class Whole:
    """One block: the answer."""

    ahead, length = False, None

    def __call__(self, canvas: Canvas) -> Window:
        """The answer region."""
        return window_of(canvas, (canvas.prompt_length, len(canvas)))


OPTIONS = ()


def build(settings: Settings, card: Card) -> Schedule:
    """The schedule."""
    settings.fit("schedule", card, fits=not card.causal)
    return Whole()
