"""Who waits, in which order, and how long may the line get?"""

from __future__ import annotations

from collections import deque

from unmask.engine.ticket import Ticket
from unmask.errors import BusyError


class Line:
    """First come, first served. Not thread-safe: the engine locks around it.

    Everybody who is let in reaches the front, for rows ahead end after a bounded number of forwards
    and nobody is let in before them.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, ticket: Ticket, free: int, retry_after: float) -> None:
        """At the end; ``free`` slots are there for the first of the line already.

        Raises:
            BusyError: the line is full.
        """
        if len(self._waiting) >= self.most + free:
            raise BusyError(
                f"{len(self._waiting)} requests wait already; try again in {retry_after:.0f} s",
                retry_after,
            )
        self._waiting.append(ticket)

    def admit(self, free: int) -> list[Ticket]:
        """The next ``free`` tickets, taken out."""
        return [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]

    def gone(self, now: float) -> list[Ticket]:
        """Tickets that were cancelled or whose time is up, taken out."""
        left = [one for one in self._waiting if is_over(one, now)]
        if left:
            self._waiting = deque(one for one in self._waiting if not is_over(one, now))
        return left


def is_over(ticket: Ticket, now: float) -> bool:
    """Whether nobody waits for the answer any more."""
    return ticket.cancelled or (ticket.deadline is not None and now >= ticket.deadline)
