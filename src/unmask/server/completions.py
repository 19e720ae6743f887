"""/v1/completions: going on with a text, or filling the gap between a text and its suffix."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.decode.step import Row
from unmask.server import bodies, examples
from unmask.server.answering import Answering
from unmask.server.errors import ApiError
from unmask.server.preparation import gap_before, rows_of
from unmask.server.requests import MOST_CHOICES, CompletionRequest, usage_wanted
from unmask.server.service import Service
from unmask.server.spelling import Token

Region = tuple[int, int]


@dataclass(frozen=True)
class CompletionForm:
    """OpenAI's completion objects. ``best``: tell every token as the likeliest of its place."""

    model: str
    usage: bool
    best: bool
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def opening(self, index: int) -> None:
        """There is none."""
        del index

    def chunk(
        self, index: int, text: str, tokens: list[Token] | None, finish: str | None
    ) -> dict[str, Any]:
        """New text, and perhaps the end."""
        counts = {"usage": None} if self.usage else {}
        return {**self._about(), "choices": [self._choice(index, text, tokens, finish)], **counts}

    def last(self, counts: dict[str, Any]) -> dict[str, Any]:
        """The counts."""
        return {**self._about(), "choices": [], "usage": counts}

    def choice(
        self, index: int, text: str, tokens: list[Token] | None, finish: str
    ) -> dict[str, Any]:
        """A whole choice."""
        return self._choice(index, text, tokens, finish)

    def whole(self, choices: list[dict[str, Any]], counts: dict[str, Any]) -> dict[str, Any]:
        """A whole answer."""
        return {**self._about(), "choices": choices, "usage": counts}

    def _about(self) -> dict[str, Any]:
        about = {"id": self.id, "object": "text_completion", "created": self.created}
        return {**about, "model": self.model}

    def _choice(
        self, index: int, text: str, tokens: list[Token] | None, finish: str | None
    ) -> dict[str, Any]:
        logprobs = None if tokens is None else self._logprobs(tokens)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}

    def _logprobs(self, tokens: list[Token]) -> dict[str, Any]:
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{one.text: one.logprob} for one in tokens] if self.best else None,
            "text_offset": [token.offset for token in tokens],
        }


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post(
        "/v1/completions",
        response_class=Response,
        responses=examples.answers("The text, or a stream of it.", examples.COMPLETION_ANSWER),
        openapi_extra=examples.body("CompletionRequest", examples.COMPLETIONS),
    )
    async def completions(request: Request) -> Response:
        """Go on with a text, without chat template; with `suffix`, fill the gap of `max_tokens`.

        With `logprobs=1` every token is told as the likeliest of its place, which it is at
        temperature 0 only.
        """
        asked = await bodies.read(service, request, CompletionRequest)
        told = usage_wanted(asked)
        prompts = _prompts(asked)
        if len(prompts) * (asked.n or 1) > MOST_CHOICES:
            raise ApiError(
                400, f"prompts times n exceed {MOST_CHOICES}; send several requests", param="n"
            )
        rows, regions = await asyncio.to_thread(_rows, service, asked, prompts)
        if asked.logprobs and any(row.policy.sampling.temperature for row in rows):
            raise ApiError(
                400,
                "logprobs=1 has no meaning above temperature=0, for only the token that was "
                "drawn is kept; give logprobs=0",
                param="logprobs",
            )
        form = CompletionForm(service.settings.name, told.end, bool(asked.logprobs))
        return await Answering(service, asked, form, len(prompts)).respond(request, rows, regions)

    return routes


def _prompts(asked: CompletionRequest) -> list[str] | list[list[int]]:
    """The prompts, also of a single one."""
    given: Any = asked.prompt
    alone = isinstance(given, str) or (given and isinstance(given[0], int))
    prompts: list[str] | list[list[int]] = [given] if alone else given
    if not prompts:
        raise ApiError(400, "prompt=[] is empty; give some text or token ids", param="prompt")
    return prompts


def _rows(
    service: Service, asked: CompletionRequest, prompts: list[str] | list[list[int]]
) -> tuple[list[Row], list[Region | None]]:
    """The rows of all prompts, and which positions of them are the answer (None: all behind the
    prompt)."""
    rows: list[Row] = []
    regions: list[Region | None] = []
    count = asked.n or 1
    for prompt in prompts:
        given = gap_before(service, asked, prompt, asked.suffix) if asked.suffix else prompt
        new = rows_of(service, asked, given, field="prompt", raw=True, count=count)
        start = new[0].canvas.prompt_length
        gap = given.parts[0] if not isinstance(given, (str, list)) else None
        region = (start, start + gap) if isinstance(gap, int) else None
        rows += new
        regions += [region] * count
    return rows, regions
