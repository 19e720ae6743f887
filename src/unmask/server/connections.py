"""How long may a client take to say what it wants, and how many may be connected?

uvicorn waits for the head of a request for ever, and so for a client that never asks. Here a head
has so many seconds. Where descriptors run short, the client that has been silent for longest is cut
off, so that idle connections lock nobody out.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from unmask.server.errors import ApiError

HEAD_SECONDS = 30.0
BACKLOG = 2048
"""Connections that may wait to be taken; as many are taken at once."""
OWN = 32
"""Descriptors for what is not open yet and no connection: files of the page, the event loop."""


class Lobby:
    """Connections whose client has not sent a whole request, the longest waiting one first.

    ``seconds``: for a head. ``most``: connections of all kinds; None for any number. ``backlog``:
    how many may come at once on top of these.
    """

    def __init__(self, seconds: float, descriptors: int | None) -> None:
        self.seconds, self.most, self.backlog = min(seconds, HEAD_SECONDS), descriptors, BACKLOG
        if descriptors is not None:
            self.backlog = max(1, min(BACKLOG, descriptors // 3))
            self.most = max(1, descriptors - self.backlog)
        self.waiting: dict[Connection, None] = {}

    def has_room(self, connected: int) -> bool:
        """For one more; whoever has been silent for longest is cut off for it."""
        if self.most is None or connected < self.most:
            return True
        silent = next(iter(self.waiting), None)
        if silent is not None:
            silent.cut()
        return silent is not None


def free_descriptors() -> int | None:
    """How many connections this process has descriptors for; None if there is no limit."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        taken = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        taken = OWN
    return limit - taken - OWN


class Connection(H11Protocol):
    """uvicorn's, with a place in the `Lobby` while its client has not sent a whole request."""

    def __init__(self, lobby: Lobby, **given: Any) -> None:
        super().__init__(**given)
        self._lobby = lobby
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client is there; its head has to come."""
        room = self._lobby.has_room(len(self.connections))
        super().connection_made(transport)
        if room:
            self._look(begun=True)
            return
        self._tell(
            ApiError(
                503, "all connections that this server can hold are busy; try again",
                code="too_many_connections", headers={"Retry-After": "5"},
            )
        )  # fmt: skip
        self.cut()

    def data_received(self, data: bytes) -> None:
        """A part of a head, a body, or of the next request."""
        super().data_received(data)
        self._look(begun=True)

    def on_response_complete(self) -> None:
        """Idle again; what uvicorn allows for that is another number of seconds."""
        super().on_response_complete()
        self._look(begun=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was cut off."""
        self._leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: whoever has not said yet what it wants is not waited for."""
        super().shutdown()
        if self in self._lobby.waiting:
            self.cut()

    def cut(self) -> None:
        """End the connection; whoever waits for the rest of a body hears that the client left."""
        self._leave()
        self.transport.close()

    def _look(self, *, begun: bool) -> None:
        """Where are we? ``begun``: the seconds of a head are running; they also are if a part of it
        came together with the request before."""
        theirs = self.conn.their_state
        if self.transport.is_closing() or theirs not in (h11.IDLE, h11.SEND_BODY):
            self._leave()
            return
        self._lobby.waiting.setdefault(self)
        if theirs is h11.SEND_BODY:  # a body has seconds of its own
            self._stop()
        elif self._timer is None and (begun or self.conn.trailing_data[0]):
            self._timer = self.loop.call_later(self._lobby.seconds, self._late)

    def _late(self) -> None:
        if self.conn.trailing_data[0]:  # a part of a head has come
            error = ApiError(
                408,
                f"the head of the request was not there within {self._lobby.seconds:g} s; send it "
                "at once",
                code="head_too_late",
            )
            self._tell(error)
        self.cut()

    def _tell(self, error: ApiError) -> None:
        answer = error.response()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(
                status_code=error.status, headers=headers, reason=HTTPStatus(error.status).phrase
            ),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _leave(self) -> None:
        self._lobby.waiting.pop(self, None)
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
