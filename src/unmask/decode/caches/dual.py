"""Cache ``dual`` (Fast-dLLM, section 3.2): keep the keys and values of all outside the block.

As `prefix`, but the masks behind the block are read from the store as well, so that only the block
is fed. With several blocks in flight all of them are fed.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class Dual:
    """``alone``: a refresh decides on the block's first position alone (the reference's rule
    for shifted models)."""

    alone: bool
    stored = True

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """A refresh at a new block or a wider reach, else the open blocks. Memory: the last two."""
        del canvas
        start, stop, reach = window.frontier[0], window.stop, window.reach
        if memory != (start, reach):
            ask = window.eligible[:1] if self.alone else window.eligible
            return Plan((0, reach), (), ask), (start, reach)
        return Plan((start, stop), ((0, start), (stop, reach)), window.eligible), memory


OPTIONS = ()


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy."""
    settings.fit("cache", card, fits=card.span is None)
    return Dual(alone=settings.reference and card.logit_shift > 0)
