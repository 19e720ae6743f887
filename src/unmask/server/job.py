"""A request's answers on their way through the engine, and how word of them comes back.

The engine calls its listeners on its own thread; they drop what they have into a mailbox of the
event loop, and nobody waits for a slow reader. A mailbox holds at most one item for every forward.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import Request

from unmask.decode.step import Row
from unmask.engine.ticket import Listener, Outcome, Ticket
from unmask.server.service import Service

Found = TypeVar("Found")
WORST = ("failed", "closing", "late", "cancelled", "enough", "done")
"""Of a request's answers, whose reason tells how the request ended."""


class Job:
    """One request of ``count`` answers. Made on the event loop."""

    def __init__(self, service: Service, count: int) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._mail: asyncio.Queue[Any] = asyncio.Queue()
        self._tickets: list[Ticket] = []
        self._left = count
        self._reasons: list[str] = []

    def submit(self, row: Row, listener: Listener) -> None:
        """Hand a row to the engine; if it is not taken, neither are those before.

        Raises:
            BusyError: too many are waiting.
            ClosingError: the engine is closing.
            PromptError: the row is longer than a slot.
        """
        try:
            seconds = self._service.settings.time_limit
            self._tickets.append(self._service.engine.submit(row, listener, seconds=seconds))
        except Exception:
            self.close()
            raise

    def put(self, item: Any) -> None:
        """From the engine's thread: into the mailbox."""
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody reads any more
            self._loop.call_soon_threadsafe(self._mail.put_nowait, item)

    def ended(self, outcome: Outcome, tokens: int, first_text: float | None) -> None:
        """From the engine's thread: one answer has ended, and is counted."""
        self._service.metrics.answer(outcome, tokens, first_text)
        self._reasons.append(outcome.reason)
        self._left -= 1
        if not self._left:
            worst = min(self._reasons, key=WORST.index)
            self._service.metrics.request("done" if worst == "enough" else worst)

    async def next(self) -> Any:
        """The next item of the mailbox."""
        return await self._mail.get()

    def close(self) -> None:
        """Nobody listens any more: free the slots."""
        for ticket in self._tickets:
            self._service.engine.cancel(ticket)


async def unless_gone(request: Request, work: Awaitable[Found]) -> Found | None:
    """What ``work`` comes to; None, and work is cancelled, if the client leaves before."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await doing if doing.done() else None
    finally:
        doing.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
