"""Cache ``sliding``: feed what was just written and the open blocks; read all the rest.

Ours. `dual` feeds the whole canvas again for every block, because the stored keys of a finished
block are still those of its masks. It is enough to feed a token once more after it was written:
then its keys are its own. So the fed range starts at the oldest token of the last forward and ends
with the last open block. What goes stale is how the rest of the text reacts to it; ``refresh``
bounds that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.settings import Settings, delay_and_refresh
from unmask.decode.window import Window


@dataclass(frozen=True)
class Sliding:
    """Tokens stay in the fed range for ``delay`` forwards more than the one that they need.

    ``refresh``: every how many forwards everything is fed, None for the first one only.
    """

    delay: int
    refresh: int | None
    stored = True

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Memory: the reach, behind which nothing is stored yet."""
        now, reach, stop = canvas.step + 1, window.reach, window.stop
        if memory != (reach,) or (self.refresh is not None and now % self.refresh == 0):
            return Plan((0, reach), (), window.eligible), (reach,)
        answer = canvas.born_L[canvas.prompt_length : window.frontier[0]]
        recent = np.flatnonzero(answer > canvas.step - 1 - self.delay)
        first = canvas.prompt_length + int(recent[0]) if len(recent) else window.frontier[0]
        return Plan((first, stop), ((0, first), (stop, reach)), window.eligible), memory


USES = ("delay", "refresh")


def build(settings: Settings) -> CachePolicy:
    """From ``delay`` (default 0) and ``refresh`` (default None)."""
    delay, refresh = delay_and_refresh(settings, 0)
    return Sliding(delay, refresh)
