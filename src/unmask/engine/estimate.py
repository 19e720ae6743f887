"""How long until the next answer ends, and its place is free?"""

from __future__ import annotations

from collections.abc import Sequence

from unmask.engine.ticket import Ticket

SOON, LATE = 1.0, 60.0
"""Seconds; nobody is told to wait for less or for more. (OpenAI's client heeds no more than 60.)"""


def next_end(running: Sequence[Ticket], ended: Sequence[float], now: float) -> float:
    """Seconds from ``now``, between `SOON` and `LATE`.

    An answer needs as long for what is open as it needed for what is written; it may end earlier.
    ``ended``: computing seconds at the ends of the last answers. The time between two of them tells
    where all answers have just begun; idle hours between them say nothing.
    """
    left = [seconds for one in running if (seconds := _left(one, now)) is not None]
    if not left and len(ended) > 1:
        left = [(ended[-1] - ended[0]) / (len(ended) - 1)]
    return min(LATE, max(SOON, min(left, default=SOON)))


def _left(ticket: Ticket, now: float) -> float | None:
    """Seconds until it ends; None if it has just begun."""
    canvas = ticket.row.canvas
    open_positions = len(canvas.open)
    written = int((canvas.born_L > 0).sum())
    if not written:
        return None
    seconds = (now - ticket.started) * open_positions / written
    return seconds if ticket.deadline is None else min(seconds, ticket.deadline - now)
