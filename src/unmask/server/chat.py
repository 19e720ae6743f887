"""/v1/chat/completions: messages in, the assistant's next turn out."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from unmask.server import bodies, examples
from unmask.server.answering import Answering
from unmask.server.preparation import rows_of
from unmask.server.requests import ChatRequest, usage_wanted
from unmask.server.service import Service
from unmask.server.spelling import Token


@dataclass(frozen=True)
class ChatForm:
    """OpenAI's chat objects."""

    model: str
    usage: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def opening(self, index: int) -> dict[str, Any]:
        """Who speaks."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None, None)

    def chunk(
        self, index: int, text: str, tokens: list[Token] | None, finish: str | None
    ) -> dict[str, Any]:
        """New text, and perhaps the end."""
        return self._chunk(index, {"content": text} if text else {}, tokens, finish)

    def last(self, counts: dict[str, Any]) -> dict[str, Any]:
        """The counts."""
        return {**self._about("chat.completion.chunk"), "choices": [], "usage": counts}

    def choice(
        self, index: int, text: str, tokens: list[Token] | None, finish: str
    ) -> dict[str, Any]:
        """A whole choice."""
        return {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": _logprobs(tokens),
            "finish_reason": finish,
        }

    def whole(self, choices: list[dict[str, Any]], counts: dict[str, Any]) -> dict[str, Any]:
        """A whole answer."""
        return {**self._about("chat.completion"), "choices": choices, "usage": counts}

    def _about(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(
        self, index: int, delta: dict[str, Any], tokens: list[Token] | None, finish: str | None
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": _logprobs(tokens),
            "finish_reason": finish,
        }
        counts = {"usage": None} if self.usage else {}
        return {**self._about("chat.completion.chunk"), "choices": [choice], **counts}


def _logprobs(tokens: list[Token] | None) -> dict[str, Any] | None:
    if tokens is None:
        return None
    content = [
        {"token": one.text, "logprob": one.logprob, "bytes": one.bytes, "top_logprobs": []}
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post(
        "/v1/chat/completions",
        response_class=Response,
        responses=examples.answers("The answer, or a stream of it.", examples.CHAT_ANSWER),
        openapi_extra=examples.body("ChatRequest", examples.CHAT),
    )
    async def chat_completions(request: Request) -> Response:
        """Answer a conversation.

        With `stream`, text arrives as server-sent events as soon as it can no longer change.
        `logprobs` are those of the forward in which a token was written. `usage` also counts
        forwards and positions.
        """
        asked = await bodies.read(service, request, ChatRequest)
        told = usage_wanted(asked)
        messages = [message.plain() for message in asked.messages]
        rows = await asyncio.to_thread(
            rows_of, service, asked, messages, field="messages", raw=False, count=asked.n or 1
        )
        form = ChatForm(service.settings.name, told.end)
        return await Answering(service, asked, form).respond(request, rows)

    return routes
