"""Cache ``causal``: keys and values are kept once nothing can change them any more (exact).

For models that look left: token by token, which makes it the ordinary cache of autoregressive
models, or block by block (SDAR, Fast-dLLM v2). A finished block is fed once more, with its final
tokens, in one range with the block that follows: that forward is also the follower's first
decoding step.
"""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class Causal:
    """``span``: the model's blocks, counted from the start of the text. ``shift``: how far left of
    a token the row lies that speaks about it. ``first_only``: a block's first position is decided
    alone, by the last row of the finished block before it (Fast-dLLM v2)."""

    span: int
    shift: int
    first_only: bool
    stored, alone = True, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Feed what is not stored yet, up to the last block that speaks about an asked position.

        Nothing is left to feed when that is the last row of a stored block; the row itself is then
        fed again, as for any shifted model. Memory: how many positions are stored for good.
        """
        stored, ask = memory[0] if memory else 0, window.eligible
        if self.first_only and ask[0] % self.span == 0:
            ask = ask[:1]
        speaks = max(int(ask[-1]) - self.shift, 0)
        stop = min(self._start_of(speaks) + self.span, len(canvas))
        read = ((0, stored),) if stored else ()
        return Plan((stored, stop), read, ask), (self._start_of(window.frontier[0]),)

    def _start_of(self, position: int) -> int:
        """Where the block of ``position`` begins."""
        return position // self.span * self.span


OPTIONS = ()


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy; all that it needs to know are facts about the model."""
    settings.fit("cache", card, fits=card.span is not None)
    first_only = settings.reference and card.logit_shift > 0
    return Causal(card.span or 1, card.logit_shift, first_only)
