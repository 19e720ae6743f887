"""Who watches a row of /v1/canvas, and how do its forwards read as events?

Positions are relative to the start of the answer. A commit may tell a position again: behind an end
token that was found further left, text gives way to padding.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, NamedTuple

from unmask.canvas.canvas import Canvas
from unmask.canvas.events import Commit
from unmask.decode.generate import result
from unmask.decode.options import table
from unmask.decode.step import Row
from unmask.decode.stopping import end_of
from unmask.decode.window import BLOCK_LENGTH, Window
from unmask.engine.ticket import Outcome
from unmask.models.denoiser import ModelCard
from unmask.server.answer import counts, given_tokens
from unmask.server.job import Job
from unmask.server.service import Service


class Frame(NamedTuple):
    """One forward: what it wrote, where the next one writes (None: nowhere), where the text ends
    for now, and seconds since the request."""

    commit: Commit
    window: Window | None
    end: int
    seconds: float


class Watcher:
    """The listener of a watched row; ``wrote`` and ``ended`` run on the engine's thread."""

    def __init__(self, job: Job, row: Row, card: ModelCard) -> None:
        self._job, self._row, self._card = job, row, card
        self._asked = time.monotonic()

    def wrote(self, commit: Commit, canvas: Canvas) -> bool:
        """Pass it on. The window is worked out here, so that no canvas has to be kept."""
        window = None if canvas.done else self._row.policy.schedule(canvas)
        seconds = time.monotonic() - self._asked
        self._job.put(Frame(commit, window, end_in(canvas, self._card), seconds))
        return False

    def ended(self, outcome: Outcome) -> None:
        """Pass it on."""
        tokens = written_tokens(outcome.row, self._card)
        self._job.ended(outcome, tokens, outcome.waited + outcome.first if tokens else None)
        self._job.put(outcome)


def end_in(canvas: Canvas, card: ModelCard) -> int:
    """Position of the end token; the length if there is none."""
    return canvas.given + end_of(canvas.tokens_L[canvas.given :], card.end_ids)


def written_tokens(row: Row, card: ModelCard) -> int:
    """Tokens written, up to and including the end token."""
    canvas = row.canvas
    return int((canvas.born_L[canvas.prompt_length : end_in(canvas, card) + 1] > 0).sum())


def start(service: Service, row: Row) -> dict[str, Any]:
    """What holds for the whole answer."""
    canvas, settings = row.canvas, row.policy.settings
    span = service.engine.model.card.span
    first = canvas.prompt_length
    fixed = [at for at in range(first, len(canvas)) if canvas.born_L[at] == 0]
    return {
        "id": f"canvas-{uuid.uuid4().hex}",
        "model": service.settings.name,
        "preset": settings.preset,
        "settings": {**dict.fromkeys(table()), **settings.values, "span": span},
        "prompt_tokens": first,
        "length": len(canvas) - first,
        "block_length": settings[BLOCK_LENGTH],
        "given": [{"at": at - first, **_piece(service, int(canvas.tokens_L[at]))} for at in fixed],
    }


def commit(service: Service, row: Row, frame: Frame) -> dict[str, Any]:
    """What one forward did, and where the next one writes."""
    one, window, first = frame.commit, frame.window, row.canvas.prompt_length
    return {
        "step": one.step,
        "seconds": round(frame.seconds, 6),
        "fed": one.fed,
        "read": one.read,
        "refresh": one.read == 0,
        "frontier": None if window is None else [int(at) - first for at in window.frontier],
        "window_stop": None if window is None else int(window.stop) - first,
        "tokens": _tokens(service, row, frame),
    }


def done(service: Service, row: Row, outcome: Outcome) -> dict[str, Any]:
    """The whole text and its counts. ``seconds`` include ``waited``, as those of commits do."""
    card = service.engine.model.card
    found = result(service.engine.model, row, outcome.seconds)
    complete = end_in(row.canvas, card) < len(row.canvas) or row.canvas.given == len(row.canvas)
    return {
        "text": found.text,
        "finish_reason": "stop" if complete else "length",
        "usage": counts(given_tokens(row), found.tokens, [outcome]),
        "seconds": round(outcome.waited + outcome.seconds, 6),
        "waited": round(outcome.waited, 6),
    }


def _tokens(service: Service, row: Row, frame: Frame) -> list[dict[str, Any]]:
    card, first = service.engine.model.card, row.canvas.prompt_length
    found = []
    for at, token, sure in zip(*frame.commit[2:5], strict=True):
        place = {"at": int(at) - first}
        if row.policy.early_stop and at > frame.end and token == card.pad_id:
            found.append({**place, "text": "", "confidence": 1, "pad": True})
        else:
            piece = _piece(service, int(token))
            found.append({**place, **piece, "confidence": round(float(sure), 6)})
    return found


def _piece(service: Service, token: int) -> dict[str, Any]:
    """The text of a token; a special one is told by its name."""
    if text := service.codec.decode([token]):
        return {"text": text}
    return {"text": service.codec.decode([token], keep_special=True), "special": True}
