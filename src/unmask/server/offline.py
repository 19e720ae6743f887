"""Requests answered without a socket: through the routes of the server, as far as its engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from unmask.engine.engine import Engine
from unmask.models.loading import Model, load
from unmask.server.app import create_app
from unmask.server.requests import MOST_CHOICES
from unmask.server.settings import ServerSettings

JSON = {"Content-Type": "application/json"}
Answer = tuple[int, Any]
"""Status and body."""
Mailbox = asyncio.Queue[tuple[str, Answer] | None]
"""Answers by name; None comes last."""


class Offline:
    """An engine of ``slots``, and routes to it. To be closed."""

    def __init__(self, model: Model, settings: ServerSettings, slots: int) -> None:
        # Of all that are asked at a time, none is refused.
        self.engine = Engine(model, slots=slots, waiting=2 * slots * MOST_CHOICES)
        self.app = create_app(self.engine, settings)
        self.engine.start()

    def close(self) -> None:
        """Stop the engine's thread."""
        self.engine.drain(0)


def opened(model: tuple[str, str, str], settings: ServerSettings, slots: int) -> Offline:
    """With a ``model`` of that name, on that device, in that number type."""
    return Offline(load(*model), settings, slots)


def answers(
    offline: Offline, requests: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Answer]]:
    """Every request's answer by its name, as they are done. A request has ``url`` and ``body``."""
    with asyncio.Runner() as runner:
        done: Mailbox = asyncio.Queue()
        asking = runner.get_loop().create_task(_ask(offline, requests, done))
        while (found := runner.run(done.get())) is not None:
            yield found
        asking.result()  # raises what ended it early


async def _ask(offline: Offline, requests: Mapping[str, Mapping[str, Any]], done: Mailbox) -> None:
    # A request that fails gets its 500 and does not end those of others.
    transport = httpx.ASGITransport(offline.app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://batch", timeout=None)
    room = asyncio.Semaphore(2 * offline.engine.slots)

    async def one(name: str, request: Mapping[str, Any]) -> None:
        async with room:
            # json of httpx' own takes no NaN and no half character.
            content = json.dumps(request["body"])
            answer = await client.post(request["url"], content=content, headers=JSON)
        done.put_nowait((name, (answer.status_code, answer.json())))

    try:
        async with client, asyncio.TaskGroup() as group:
            for name, request in requests.items():
                group.create_task(one(name, request))
    finally:
        done.put_nowait(None)
