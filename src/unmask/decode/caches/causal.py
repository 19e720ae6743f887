"""Cache ``causal``: the ordinary KV cache of autoregressive models (exact; causal models only)."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class Causal:
    """Every position is fed once, when it is known."""

    stored = True

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Feed what is known and not stored yet. Memory: how many positions are stored."""
        del canvas
        known, stored = window.frontier[0], memory[0] if memory else 0
        return Plan((stored, known), ((0, stored),) if stored else (), window.eligible), (known,)


USES = ()


def build(settings: Settings) -> CachePolicy:
    """The policy; no setting has a meaning here."""
    del settings
    return Causal()
