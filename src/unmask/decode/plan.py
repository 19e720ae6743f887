"""What a cache policy answers: what do we feed, what do we read back, whom do we ask?

Positions are absolute. Every published cache is a choice of two disjoint sets; all of them are
unions of a few ranges, so ranges are what we keep.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unmask.canvas.canvas import Canvas
from unmask.decode.settings import Option
from unmask.decode.window import Window

Range = tuple[int, int]
Memory = tuple[int, ...]
FRESH: Memory = ()
REFRESH: Option[int | None] = Option(
    "refresh", int, None, "feed everything every so many forwards", low=1
)


class Plan(NamedTuple):
    """``feed`` goes through the model, ``read`` is attended to from the store, ``ask`` (open
    positions, ascending) is what the strategy decides on. ``narrow``: a shifted model is not fed
    the position before, and the first fed row speaks for itself (a defect that ``compat`` replays).
    """

    feed: Range
    read: tuple[Range, ...]
    ask: NDArray[np.intp]
    narrow: bool = False

    @property
    def fed(self) -> int:
        """Number of positions fed."""
        return self.feed[1] - self.feed[0]

    @property
    def seen(self) -> int:
        """Number of positions read from the store."""
        return sum(stop - start for start, stop in self.read)


class CachePolicy(Protocol):
    """Chooses a plan. Its memory is a value that the row keeps; `FRESH` at the start."""

    stored: bool
    """Whether keys and values outlive a forward."""

    @property
    def alone(self) -> bool:
        """Whether a refresh decides on the block's first position alone (what the reference does
        to shifted models)."""
        ...

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """The plan of one forward, and the memory for the next."""
        ...


def widen(plan: Plan, shift: int) -> Plan:
    """Feed one position more on the left if a shifted model must be asked about the first one.

    The position is recomputed instead of read, so that the two sets stay disjoint.
    """
    start = plan.feed[0]
    if not shift or plan.narrow or start == 0 or not len(plan.ask) or plan.ask[0] - shift >= start:
        return plan
    cut = start - shift
    read = tuple((a, cut if b == start else b) for a, b in plan.read)
    return plan._replace(feed=(cut, plan.feed[1]), read=read)
