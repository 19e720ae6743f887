"""How are events sent while they happen? As server-sent events, until the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

Item = TypeVar("Item")
PAUSE = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy takes the stream for dead."""
COMMENT = ": waiting\n\n"
DONE = "data: [DONE]\n\n"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def data(body: Any) -> str:
    """An event without a name. In ASCII: many clients end a line at U+2028 or U+0085."""
    return f"data: {json.dumps(body, allow_nan=False)}\n\n"


def event(name: str, body: Any) -> str:
    """An event with a name."""
    return f"event: {name}\n{data(body)}"


async def spoken(next_item: Callable[[], Awaitable[Item]]) -> AsyncIterator[Item | None]:
    """Item after item, and None after every `PAUSE` in which there was none."""
    while True:
        try:
            async with asyncio.timeout(PAUSE):
                item = await next_item()
        except TimeoutError:
            yield None
            continue
        yield item


class EventStream(StreamingResponse):
    """Sends ``events``; ``close`` is called when it ends, however it ends."""

    def __init__(self, events: AsyncIterator[str], close: Callable[[], None]) -> None:
        super().__init__(events, headers=HEADERS, media_type="text/event-stream")
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send. A reader that leaves while a chunk is on its way stops the sending, not the
        generator; so closing is done here."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()
