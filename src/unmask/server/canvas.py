"""/v1/canvas: every forward of one answer as an event, for whoever wants to watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.decode.prompts import Infill, Prompt
from unmask.decode.step import Row
from unmask.engine.ticket import Outcome
from unmask.errors import PromptError
from unmask.server import bodies, examples, sse, watching
from unmask.server.errors import ApiError, as_api_error, failure_of
from unmask.server.job import Job
from unmask.server.preparation import before_gap, rows_of
from unmask.server.requests import CanvasRequest
from unmask.server.service import Service


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["canvas"])

    @routes.post(
        "/v1/canvas",
        response_class=Response,
        responses=examples.answers("Events.", examples.EVENTS, "text/event-stream"),
        openapi_extra=examples.body("CanvasRequest", examples.CANVAS),
    )
    async def canvas(request: Request) -> Response:
        """Watch an answer unmask: `start`, a `commit` for every forward, `done` or `error`.

        Give `messages`, or a `prompt`, or either with `infill`: fixed text and lengths of gaps.
        """
        asked = await bodies.read(service, request, CanvasRequest)
        row = await asyncio.to_thread(_row, service, asked)
        job = Job(service, 1)
        try:
            job.submit(row, watching.Watcher(job, row, service.engine.model.card))
        except PromptError as error:  # other lengths were seen to before
            raise as_api_error(error, "infill") from None
        return sse.EventStream(_events(service, job, row), job.close)

    return routes


def _row(service: Service, asked: CanvasRequest) -> Row:
    """The row that is asked for.

    Raises:
        ApiError: fields that contradict each other, or a prompt that cannot be.
    """
    if (asked.messages is None) == (asked.prompt is None):
        raise ApiError(400, "give either messages or prompt", param="messages")
    if asked.messages and asked.raw:
        raise ApiError(400, "raw has no meaning for messages; give a prompt", param="raw")
    prompt: Prompt = asked.prompt or ""
    field = "prompt"
    if asked.messages:
        prompt, field = [message.plain() for message in asked.messages], "messages"
    if asked.infill is not None:
        if asked.length() is not None:
            raise ApiError(
                400, "max_tokens has no meaning with infill, which brings its own length",
                param="max_tokens",
            )  # fmt: skip
        before = before_gap(service, prompt, field, raw=bool(asked.raw))
        prompt, field = Infill(*asked.infill, prompt=before), "infill"
    return rows_of(service, asked, prompt, field=field, raw=bool(asked.raw))[0]


async def _events(service: Service, job: Job, row: Row) -> AsyncIterator[str]:
    yield sse.event("start", await asyncio.to_thread(watching.start, service, row))
    async for item in sse.spoken(job.next):
        if item is None:
            yield sse.COMMENT
        elif not isinstance(item, Outcome):
            yield sse.event("commit", watching.commit(service, row, item))
        elif failure := failure_of(item, service.settings.time_limit):
            yield sse.event("error", failure.body())
            return
        else:
            yield sse.event("done", await asyncio.to_thread(watching.done, service, row, item))
            return
