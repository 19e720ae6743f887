"""One choice of an answer: the text so far, and in the end its counts."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from unmask.canvas.canvas import Canvas
from unmask.canvas.events import Commit
from unmask.decode.step import Row
from unmask.engine.ticket import Outcome
from unmask.server.job import Job
from unmask.text.frontier import HALF, Frontier
from unmask.text.tokenizer import TextCodec

LOG = logging.getLogger(__name__)
UNLIKELY = -9999.0
"""OpenAI's number for a probability of 0."""


class Piece(NamedTuple):
    """New text of the choice number ``choice``; with ``outcome`` the last one."""

    choice: int
    text: str
    outcome: Outcome | None = None


class Token(NamedTuple):
    """A token of an answer. ``logprob``: of its probability when it was written, in nats."""

    text: str
    logprob: float


class Answer:
    """The listener of one row; ``wrote`` and ``ended`` run on the engine's thread.

    ``region``: the positions that are the answer, from ``start`` on.
    """

    def __init__(self, job: Job, index: int, row: Row, frontier: Frontier) -> None:
        self.index, self.row, self.frontier = index, row, frontier
        self.outcome: Outcome | None = None
        self._job = job
        self._broken: Exception | None = None
        self._start = row.canvas.prompt_length
        self._confidence_L = np.ones(len(row.canvas))
        self._asked, self._first_text = time.monotonic(), math.nan

    def wrote(self, commit: Commit, canvas: Canvas) -> bool:
        """Pass on what is new; a stop string is enough."""
        self._confidence_L[commit.positions] = commit.confidences
        try:
            text = self.frontier.push(canvas)
        except Exception as error:  # a broken tokenizer must not look like a short answer
            self._broken = error
            raise
        if text:
            self._note_first()
            self._job.put(Piece(self.index, text))
        return self.frontier.stopped

    def ended(self, outcome: Outcome) -> None:
        """Pass on the rest."""
        rest = ""
        if outcome.reason == "done" and not self._broken:
            try:
                rest = self.frontier.finish(outcome.row.canvas)
            except Exception as error:  # or the client would wait for ever
                LOG.exception("the end of an answer has no text")
                self._broken = error
        if self._broken:
            outcome = replace(outcome, reason="failed", error=self._broken)
        self.outcome = outcome
        if rest:
            self._note_first()
        first = None if math.isnan(self._first_text) else self._first_text
        self._job.ended(outcome, self.frontier.tokens, first)
        self._job.put(Piece(self.index, rest, outcome))

    def _note_first(self) -> None:
        if math.isnan(self._first_text):
            self._first_text = time.monotonic() - self._asked

    def finish_reason(self, end_ids: tuple[int, ...]) -> str:
        """``stop`` at a stop string or end token, else ``length``."""
        tokens = self.frontier.tokens
        last = self.row.canvas.tokens_L[self._start + tokens - 1] if tokens else None
        return "stop" if self.frontier.stopped or last in end_ids else "length"

    def tokens(self, codec: TextCodec, text: str, done: int = 0) -> list[Token]:
        """The tokens, from number ``done`` on, that make up the answer as far as ``text`` goes.

        Only for text that was given out already: its tokens do not change any more.
        """
        ids: list[int] = self.row.canvas.tokens_L[self._start :].tolist()
        low, high = done, len(ids)
        while low < high:
            middle = (low + high) // 2
            if codec.decode(ids[:middle]).startswith(text):
                high = middle
            else:
                low = middle + 1
        sure = self._confidence_L[self._start + done : self._start + low]
        return [
            Token(codec.decode([one], keep_special=True), _log(float(probability)))
            for one, probability in zip(ids[done:low], sure, strict=True)
        ]


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else UNLIKELY


def bytes_of(text: str) -> list[int] | None:
    """UTF-8 of a token's text; None where the token is a part of a character."""
    return None if HALF in text else list(text.encode())


def usage(answers: Sequence[Answer], prompts: int) -> dict[str, Any]:
    """Counts of a request: every one of its ``prompts`` prompts once, all of its answers."""
    each = len(answers) // prompts
    outcomes = [answer.outcome for answer in answers if answer.outcome]
    return counts(
        sum(given_tokens(answer.row) for answer in answers[::each]),
        sum(answer.frontier.tokens for answer in answers),
        outcomes,
    )


def given_tokens(row: Row) -> int:
    """Tokens that the user gave: the prompt, and fixed text behind it."""
    return int(np.count_nonzero(row.canvas.born_L == 0))


def counts(prompt: int, completion: int, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """OpenAI's three counts and ours, summed over ``outcomes``."""
    forwards = sum(outcome.row.canvas.step for outcome in outcomes)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "forwards": forwards,
        "tokens_per_forward": round(completion / forwards, 3) if forwards else 0.0,
        "fed_positions": sum(sum(outcome.row.fed) for outcome in outcomes),
        "cached_positions": sum(outcome.cached_positions for outcome in outcomes),
    }
