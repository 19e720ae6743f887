"""Cache ``prefix`` (Fast-dLLM, section 3.2): keep the keys and values of all before the block.

A new block starts with a forward over the whole canvas, which is also its first decoding step;
after it only the block and the masks behind it are fed.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class Prefix:
    """``alone``: a refresh decides on the block's first position alone (the reference's rule
    for shifted models)."""

    alone: bool
    stored = True

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """A refresh at a new block, else block and suffix. Memory: the block last refreshed for."""
        del canvas
        start = window.frontier[0]
        if memory != (start,):
            ask = window.eligible[:1] if self.alone else window.eligible
            return Plan((0, window.reach), (), ask), (start,)
        return Plan((start, window.reach), ((0, start),), window.eligible), memory


OPTIONS = ()


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy."""
    settings.fit("cache", card, fits=card.span is None)
    return Prefix(alone=settings.reference and card.logit_shift > 0)
