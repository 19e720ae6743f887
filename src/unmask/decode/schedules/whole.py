"""Schedule ``whole``: every open position of the answer may be written at any time."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Settings
from unmask.decode.window import Schedule, Window, window_of


@dataclass(frozen=True)
class Whole:
    """One block: the answer."""

    ahead = False

    def __call__(self, canvas: Canvas) -> Window:
        """The answer region."""
        return window_of(canvas, (canvas.prompt_length, len(canvas)))


USES = ()


def build(settings: Settings) -> Schedule:
    """The schedule; no setting has a meaning here."""
    del settings
    return Whole()
