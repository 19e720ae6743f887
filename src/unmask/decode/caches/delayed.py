"""Cache ``delayed`` (d3LLM): a block's keys and values are kept some forwards after it finished.

They settle late because a fresh block still changes how its neighbours are read. While a finished
block waits, and at every ``refresh``-th forward, the whole canvas is fed again. Who is settled is a
function of the births, so there is no length to keep and no key can be there twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.canvas.canvas import MASKED, Canvas
from unmask.decode.plan import REFRESH, CachePolicy, Memory, Plan
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.window import BLOCK_LENGTH, Window

NEVER = 2**30


class _Ages(NamedTuple):
    """Per block, the prompt first: its stop, the forward that first sees it finished (all before it
    being finished as well), and the one whose keys and values are kept."""

    stops: NDArray[np.int64]
    seen: NDArray[np.int64]
    kept: NDArray[np.int64]


@dataclass(frozen=True)
class Delayed:
    """``delay`` in forwards; ``refresh``: every how many forwards all is fed again, None for never.

    ``reference`` replays d3LLM's code: a block that is due puts a refresh off, and shifted models
    are fed one position too few. ``queue``: finished blocks wait one after the other (its LLaDA
    half) instead of side by side.
    """

    length: int
    delay: int
    refresh: int | None
    reference: bool
    queue: bool
    stored, alone = True, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Everything that is not settled, or everything."""
        now = canvas.step + 1
        stops, seen, kept = self._ages(canvas)
        settled = int(stops[kept < now].max(initial=0))
        due = bool((kept == now).any())
        waiting = bool(((seen <= now) & (kept > now)).any())
        periodic = self.refresh is not None and now % self.refresh == 0
        waiting = waiting and not due
        full = waiting or (periodic and not (self.reference and due))
        if full or not settled:
            return Plan((0, window.reach), (), window.eligible), memory
        feed, read = (settled, window.reach), ((0, settled),)
        return Plan(feed, read, window.eligible, narrow=self.reference), memory

    def _ages(self, canvas: Canvas) -> _Ages:
        prompt = canvas.prompt_length
        born_L = canvas.born_L[prompt:].astype(np.int64)
        edges = np.arange(0, len(born_L), self.length)
        last = np.maximum.reduceat(np.where(born_L == MASKED, NEVER, born_L), edges)
        finished = np.maximum.accumulate(np.concatenate([[0], last]))
        stops = np.minimum(np.concatenate([[0], edges + self.length]), len(born_L)) + prompt
        seen = np.where(finished > 0, finished + 1, 0)
        kept = np.maximum(seen + self.delay, 1)
        if self.queue:
            for block in range(1, len(seen)):
                seen[block] = max(seen[block], kept[block - 1])
                kept[block] = seen[block] + self.delay
        return _Ages(stops, seen, kept)


DELAY = Option("delay", int, 1, "forwards that a finished block waits")
OPTIONS = (BLOCK_LENGTH, DELAY, REFRESH)


def build(settings: Settings, card: Card) -> CachePolicy:
    """The policy; without a refresh everything is fed only while a block waits."""
    settings.fit("cache", card, fits=card.span is None)
    length, delay, refresh = settings[BLOCK_LENGTH], settings[DELAY], settings[REFRESH]
    reference = settings.reference
    return Delayed(length, delay, refresh, reference, reference and not card.logit_shift)
