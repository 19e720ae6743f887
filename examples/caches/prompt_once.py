"""Cache ``prompt_once``: the prompt goes through the model once, the answer every time."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import REFRESH, CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class PromptOnce:
    """``refresh``: every how many forwards the prompt is fed again, None for never."""

    refresh: int | None
    stored, alone = True, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Memory: how much of the prompt is stored."""
        start, now = canvas.prompt_length, canvas.step + 1
        if memory != (start,) or (self.refresh is not None and now % self.refresh == 0):
            return Plan((0, window.reach), (), window.eligible), (start,)
        return Plan((start, window.reach), ((0, start),), window.eligible), memory


OPTIONS = (REFRESH,)


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy, for models that look at the whole text."""
    settings.fit("cache", card, fits=card.span is None)
    return PromptOnce(settings[REFRESH])
