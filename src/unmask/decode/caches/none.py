"""Cache ``none``: feed the whole canvas at every forward."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.window import Window


@dataclass(frozen=True)
class NoCache:
    """Nothing is stored."""

    stored = False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Everything."""
        return Plan((0, len(canvas)), (), window.eligible), memory


def build(first_only: bool) -> CachePolicy:
    """The policy; there is no refresh that ``first_only`` could narrow."""
    del first_only
    return NoCache()
