"""A server as a process: its socket, its signals, and how it ends.

The first SIGTERM or SIGINT lets the engine finish what it has, while new requests are told 503;
then the process ends with 0. The second ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from unmask.engine.engine import Engine
from unmask.errors import InputError
from unmask.server.connections import Connection, Lobby, free_descriptors

KEPT = 75
"""Seconds that an idle connection is kept. More than the pools of clients keep theirs (httpx 5,
aiohttp 15), or they would now and then send a request into a connection that we are closing."""
FLUSH = 5
"""Seconds that answers get to reach slow readers once the engine has ended."""


def bind(host: str, port: int) -> socket.socket:
    """A socket of our own; port 0 takes a free one.

    Raises:
        InputError: the address is taken, not ours, or none at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()  # or another server could bind the same port meanwhile
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"host={host!r} with port={port} cannot be listened on ({reason}); give another "
            "--port (0 takes a free one) or --host"
        ) from None
    return bound


class Server(uvicorn.Server):
    """uvicorn, but for signals, and for clients that do not say what they want within ``seconds``.
    ``listening`` is called once requests are taken."""

    def __init__(
        self,
        app: FastAPI,
        engine: Engine,
        drain: float,
        seconds: float,
        listening: Callable[[], None],
    ) -> None:
        lobby = Lobby(seconds, free_descriptors())
        super().__init__(
            uvicorn.Config(
                app,
                # h11 limits the head of a request to 64 KiB; httptools does not.
                http=partial(Connection, lobby),  # type: ignore[arg-type]  # a class is meant
                backlog=lobby.backlog,
                log_level="warning",
                access_log=False,
                timeout_keep_alive=KEPT,
                timeout_graceful_shutdown=2 * FLUSH,
            )
        )
        self._engine, self._drain, self._listening = engine, drain, listening
        self._closing = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen. What is there by now stays: the collector need not look through a model
        again, which takes it long enough to hold up everybody, whenever somebody sends much."""
        gc.collect()
        gc.freeze()
        await super().startup(sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End. Whoever does not take its answer within `FLUSH` is cut off; uvicorn would cancel
        what is under way, and print where it was."""
        asyncio.get_running_loop().call_later(FLUSH, self._cut)
        await super().shutdown(sockets)

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal. (uvicorn's own way raises it again in the end: no exit code of 0.)"""
        del frame
        if self._closing:
            os._exit(128 + sig)
        self._closing = True
        threading.Thread(target=self._close, name="unmask-drain", daemon=True).start()

    def _close(self) -> None:
        self._engine.drain(self._drain)
        self.should_exit = True
