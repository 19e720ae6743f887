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
from unmask.text.frontier import Frontier

LOG = logging.getLogger(__name__)


class Piece(NamedTuple):
    """New text of the choice number ``choice``, which has ``tokens`` now; with ``outcome`` the last
    one."""

    choice: int
    text: str
    tokens: int
    outcome: Outcome | None = None


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
            self._job.put(Piece(self.index, text, self.frontier.tokens))
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
        self._job.put(Piece(self.index, rest, self.frontier.tokens, outcome))

    def _note_first(self) -> None:
        if math.isnan(self._first_text):
            self._first_text = time.monotonic() - self._asked

    def finish_reason(self, end_ids: tuple[int, ...]) -> str:
        """``stop`` at a stop string or end token, else ``length``."""
        tokens = self.frontier.tokens
        last = self.row.canvas.tokens_L[self._start + tokens - 1] if tokens else None
        return "stop" if self.frontier.stopped or last in end_ids else "length"

    def written(self) -> tuple[list[int], list[float]]:
        """Ids of the answer, and how probable each was when it was written."""
        return (
            self.row.canvas.tokens_L[self._start :].tolist(),
            self._confidence_L[self._start :].tolist(),
        )


def usage(answers: Sequence[Answer], prompts: int) -> dict[str, Any]:
    """Counts of a request: every one of its ``prompts`` prompts once, all of its answers."""
    each = len(answers) // prompts
    outcomes = [answer.outcome for answer in answers if answer.outcome]
    return counts(
        sum(given_tokens(answer.row) for answer in answers[::each]),
        sum(answer.frontier.tokens for answer in answers),
        outcomes,
    )


def usage_so_far(answer: Answer, tokens: int) -> dict[str, Any]:
    """OpenAI's three counts of one choice that has ``tokens`` by now."""
    prompt = given_tokens(answer.row)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "total_tokens": prompt + tokens,
    }


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
