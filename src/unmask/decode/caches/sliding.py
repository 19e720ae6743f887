"""Cache ``sliding``: feed what was just written and the open blocks; read all the rest.

Ours. `dual` feeds the whole canvas again for every block, because the stored keys of a finished
block are still those of its masks. It is enough to feed a token once more after it was written:
then its keys are its own. So the fed range covers the tokens of the last forward and the blocks in
flight. What goes stale is how the rest of the text reacts to it; ``refresh`` bounds that.
Under a horizon the reach grows from forward to forward: only what is new is fed, so that the cost
of a text does not depend on how long the canvas is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import REFRESH, CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.window import Window


@dataclass(frozen=True)
class Sliding:
    """Tokens stay in the fed range for ``delay`` forwards more than the one that they need.

    ``refresh``: every how many forwards everything is fed, None for the first one only.
    """

    delay: int
    refresh: int | None
    stored, alone = True, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Memory: how far keys are stored, and where the padding began.

        What the model is to see beyond the one, and a new padding, is fed as well.
        """
        now, (stored, before) = canvas.step + 1, memory or (0, 0)
        reach, padding = max(window.reach, stored), canvas.padding or 0
        after = (reach, padding)
        if not stored or (self.refresh is not None and now % self.refresh == 0):
            return Plan((0, reach), (), window.eligible), after
        answer = canvas.born_L[canvas.prompt_length : reach]
        recent = np.flatnonzero(answer > canvas.step - 1 - self.delay) + canvas.prompt_length
        first, stop = window.frontier[0], window.stop
        if len(recent):
            first, stop = min(first, int(recent[0])), max(stop, int(recent[-1]) + 1)
        if after != (stored, before):
            stop = reach
        return Plan((first, stop), ((0, first), (stop, reach)), window.eligible), after


DELAY = Option("delay", int, 0, "forwards more that a written token is fed")
OPTIONS = (DELAY, REFRESH)


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy."""
    settings.fit("cache", card, fits=card.span is None)
    return Sliding(settings[DELAY], settings[REFRESH])
