"""Who may ask, and how much may they send? Two ASGI layers around the app.

Plain ASGI, for Starlette's own base class for such layers hides from the app that a client left.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.server.errors import ApiError

DISCARDED = 32 << 20
"""Bytes of an over-long body that are read and dropped, so that a client that first sends and then
reads gets to see the answer; with more than that the connection is cut."""
Refused = Callable[[ApiError], None]
"""Told of every refusal; it counts them."""


class KeyCheck:
    """Asks for ``Authorization: Bearer KEY`` under /v1; everything else is open."""

    def __init__(self, app: ASGIApp, key: str, refused: Refused) -> None:
        self._app, self._key, self._refused = app, key.encode(), refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1"):
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, key = given.partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(key.strip(), self._key):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            401,
            "the API key is missing or wrong; send the header Authorization: Bearer KEY",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
        self._refused(error)
        await error.response()(scope, receive, send)


class BodyLimit:
    """Reads the body, at most ``limit`` bytes of it and for ``seconds``, before the app sees it.

    It counts what arrives: a client may leave the length away or lie about it.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float, refused: Refused) -> None:
        self._app, self._limit, self._seconds, self._refused = app, limit, seconds, refused
        self._most = max(limit, DISCARDED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        error = None
        try:
            async with asyncio.timeout(self._seconds):
                body = None if _length(scope) > self._most else await self._body(receive)
        except TimeoutError:
            body, error = None, self._too_late()
        except ConnectionError:
            self._refused(ApiError(499, "the client left before its body was there"))
            return
        if body is None:
            error = error or self._too_long()
            self._refused(error)
            await error.response()(scope, receive, send)
            return
        first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, again, send)

    def _too_long(self) -> ApiError:
        return ApiError(
            413,
            f"the body is longer than {self._limit} bytes, the limit of this server; "
            "send a shorter prompt",
            code="body_too_long",
            headers={"Connection": "close"},
        )

    def _too_late(self) -> ApiError:
        return ApiError(
            408,
            f"the body was not there within {self._seconds:g} s, the limit of this server; send it "
            "at once",
            code="body_too_late",
            headers={"Connection": "close"},
        )

    async def _body(self, receive: Receive) -> bytes | None:
        """All of it; None if it is too long.

        Raises:
            ConnectionError: the client left, so that there is nobody to answer.
        """
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= self._most:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            part = message.get("body", b"")
            size += len(part)
            if size <= self._limit:
                parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts) if size <= self._limit else None


def _length(scope: Scope) -> int:
    """The length that the client announces; 0 if it does not."""
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(told) if told.isdigit() else 0
