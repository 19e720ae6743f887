"""Cache ``none``: feed the whole canvas at every forward."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class NoCache:
    """Nothing is stored."""

    stored, alone = False, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Everything in reach."""
        del canvas
        return Plan((0, window.reach), (), window.eligible), memory


OPTIONS = ()


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy."""
    settings.fit("cache", card, fits=not card.causal)
    return NoCache()
