"""A request on its way: its row, who listens, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from unmask.canvas.canvas import Canvas
from unmask.canvas.events import Commit
from unmask.decode.step import Row

Reason = Literal["done", "enough", "cancelled", "late", "failed", "closing"]
"""No mask is left; the listener had enough; somebody cancelled; its time was up; the model raised;
the engine closed."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended.

    ``waited``: seconds in the queue; ``first``: seconds from the first forward until the first
    commit; ``seconds``: from the first forward to the end. ``cached_positions``: read from the
    store in all forwards. ``error``: why it failed.
    """

    row: Row
    reason: Reason
    waited: float
    first: float
    seconds: float
    cached_positions: int
    error: Exception | None = None


class Listener(Protocol):
    """Called on the engine's thread: return at once, raise nothing, keep no lock for long."""

    def wrote(self, commit: Commit, canvas: Canvas) -> bool:
        """After every forward of the row. True: that is enough, free the slot."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Exactly once, after the last `wrote`; also for a request that never ran."""
        ...


@dataclass(eq=False)
class Ticket:
    """What `Engine.submit` returns; good for `Engine.cancel`. The engine owns its fields."""

    row: Row
    listener: Listener
    submitted: float
    deadline: float | None
    cancelled: bool = False
    started: float = 0.0
    first: float = 0.0
    cached_positions: int = 0
