"""Chat and completions alike: rows into the engine, text out, at once or in a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import Response

from unmask.decode.step import Row
from unmask.server import sse
from unmask.server.answer import Answer, Piece, usage, usage_so_far
from unmask.server.errors import ApiError, failure_of, json_response
from unmask.server.job import Job, unless_gone
from unmask.server.requests import AnswerRequest, usage_wanted
from unmask.server.service import Service
from unmask.server.spelling import Spelling, Token
from unmask.text.frontier import Frontier

GONE = 499
"""Nobody reads this status: the client has left."""


class Form(Protocol):
    """How a route dresses text. ``tokens`` is None unless somebody asked for probabilities."""

    def opening(self, index: int) -> dict[str, Any] | None:
        """The first chunk of a choice, if it has one."""
        ...

    def chunk(
        self, index: int, text: str, tokens: list[Token] | None, finish: str | None
    ) -> dict[str, Any]:
        """A chunk of a stream."""
        ...

    def last(self, counts: dict[str, Any]) -> dict[str, Any]:
        """The chunk that holds nothing but the counts."""
        ...

    def choice(
        self, index: int, text: str, tokens: list[Token] | None, finish: str
    ) -> dict[str, Any]:
        """A whole choice."""
        ...

    def whole(self, choices: list[dict[str, Any]], counts: dict[str, Any]) -> dict[str, Any]:
        """A whole answer."""
        ...


class Answering:
    """One request of chat or completions. ``prompts``: how many prompts its rows belong to."""

    def __init__(
        self, service: Service, asked: AnswerRequest, form: Form, prompts: int = 1
    ) -> None:
        self._service, self._asked, self._form, self._prompts = service, asked, form, prompts
        self._end_ids = () if asked.ignore_eos else service.engine.model.card.end_ids
        self._probabilities = asked.logprobs is not None and asked.logprobs is not False
        self._told = usage_wanted(asked)

    async def respond(
        self,
        request: Request,
        rows: list[Row],
        regions: Sequence[tuple[int, int] | None] | None = None,
    ) -> Response:
        """The answer. ``regions``: see `Frontier`, for rows with text behind the gap.

        Raises:
            ApiError: the time limit, say, or more rows than ever fit.
            BusyError: too many are waiting.
            ClosingError: the server is closing.
        """
        most = self._service.engine.capacity
        if len(rows) > most:
            raise ApiError(
                400, f"{len(rows)} answers at once are more than the {most} that this server "
                "holds; ask for fewer, or several times", param="n",
            )  # fmt: skip
        for row in rows:
            self._hold_open(row)
        job = Job(self._service, len(rows))
        places = regions or [None] * len(rows)
        answers = [
            self._answer(job, at, row, place)
            for at, (row, place) in enumerate(zip(rows, places, strict=True))
        ]
        for answer in answers:
            job.submit(answer.row, answer)
        if self._asked.stream:
            return sse.EventStream(self._events(job, answers), job.close)
        try:
            found = await unless_gone(request, self._collected(job, answers))
        finally:
            job.close()
        return Response(status_code=GONE) if found is None else found

    def _hold_open(self, row: Row) -> None:
        """Keep end tokens out of the first ``min_tokens`` of the answer.

        Raises:
            ApiError: it cannot have as many.
        """
        least, room = self._asked.min_tokens or 0, len(row.canvas.open)
        if least > room:
            raise ApiError(
                400, f"min_tokens={least} is more than the {room} tokens that the answer may have; "
                "lower it or raise max_tokens", param="min_tokens",
            )  # fmt: skip
        row.least = least

    def _answer(self, job: Job, index: int, row: Row, region: tuple[int, int] | None) -> Answer:
        frontier = Frontier(
            self._service.codec, self._end_ids, self._asked.stops(), region, row.least
        )
        return Answer(job, index, row, frontier)

    async def _collected(self, job: Job, answers: Sequence[Answer]) -> Response:
        left = len(answers)
        while left:
            piece = await job.next()
            left -= piece.outcome is not None
            if failure := self._failure(piece):
                raise failure
        return await asyncio.to_thread(self._whole, answers)

    def _whole(self, answers: Sequence[Answer]) -> Response:
        """All choices. (Many long ones with their tokens take a while to spell.)"""
        choices = []
        for answer in answers:
            text, finish = answer.frontier.text, answer.finish_reason(self._end_ids)
            spelling = Spelling(answer, self._service.codec)
            tokens = self._tokens(spelling, text, answer.frontier.tokens, finish)
            choices.append(self._form.choice(answer.index, text, tokens, finish))
        return json_response(self._form.whole(choices, usage(answers, self._prompts)))

    def _failure(self, piece: Piece) -> ApiError | None:
        limit = self._service.settings.time_limit
        return failure_of(piece.outcome, limit) if piece.outcome else None

    def _tokens(
        self, spelling: Spelling, text: str, count: int, finish: str | None
    ) -> list[Token] | None:
        """Those of ``text``; of an answer that nothing ended, all that are counted."""
        if not self._probabilities:
            return None
        return spelling.upto(text, count if finish == "length" else 0)

    def _counted(self, chunk: dict[str, Any], answer: Answer, tokens: int) -> dict[str, Any]:
        return {**chunk, "usage": usage_so_far(answer, tokens)} if self._told.every else chunk

    async def _events(self, job: Job, answers: Sequence[Answer]) -> AsyncIterator[str]:
        for answer in answers:
            if opening := self._form.opening(answer.index):
                yield sse.data(self._counted(opening, answer, 0))
        speakers = [self._speaker(answer) for answer in answers]
        left = len(answers)
        async for piece in sse.spoken(job.next):
            if piece is None:
                yield sse.COMMENT
                continue
            left -= piece.outcome is not None
            if failure := self._failure(piece):
                yield sse.data(failure.body())
                return
            yield sse.data(speakers[piece.choice](piece))
            if not left:
                break
        if self._told.end:
            yield sse.data(self._form.last(usage(answers, self._prompts)))
        yield sse.DONE

    def _speaker(self, answer: Answer) -> Callable[[Piece], dict[str, Any]]:
        """Turns the pieces of a choice into chunks; it remembers what was told before."""
        text, spelling = "", Spelling(answer, self._service.codec)

        def chunk(piece: Piece) -> dict[str, Any]:
            nonlocal text
            text += piece.text
            finish = answer.finish_reason(self._end_ids) if piece.outcome else None
            tokens = self._tokens(spelling, text, piece.tokens, finish)
            told = self._form.chunk(answer.index, piece.text, tokens, finish)
            return self._counted(told, answer, piece.tokens)

        return chunk
