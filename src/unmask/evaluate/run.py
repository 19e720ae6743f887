"""Examples of a task, one model, one set of settings: a record for every answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from unmask.canvas.events import Commit
from unmask.decode import policy
from unmask.decode.generate import Result, finished, prepare
from unmask.decode.loop import decode
from unmask.decode.prompts import codec_of
from unmask.evaluate import provenance
from unmask.evaluate.questions import Asked, ask, cut, digest, tokens_to_stop
from unmask.evaluate.record import Record
from unmask.evaluate.task import Example, Task
from unmask.models.loading import Model

WARM_UP = 3
"""Forwards before the clock runs."""


@dataclass(frozen=True)
class Contestant:
    """A model and how it answers: one point of a curve.

    ``method``: label of the curve. ``name`` and ``weights``: of the model, for the records.
    ``swept``: the part of ``overrides`` that the sweep varies. ``style``: how it is asked; None
    takes that of its family. ``place``: see `place_of`, of whoever answers; None means this model.
    """

    model: Model
    name: str
    weights: str
    preset: str
    method: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    swept: Mapping[str, Any] = field(default_factory=dict)
    style: str | None = None
    batch_size: int = 1
    place: Mapping[str, Any] | None = None

    def given(self, task: Task) -> dict[str, Any]:
        """What differs from the preset on ``task``; whatever is drawn has a seed.

        Raises:
            InputError: settings that cannot be.
        """
        given = {"max_new_tokens": task.canvas, **self.overrides, **self.swept}
        made = self._policy(given)
        if made.seed is None and (made.sampling.temperature > 0 or made.strategy.random):
            given["seed"] = 0  # an evaluation that is not repeatable is worth nothing
        return given

    def settings(self, task: Task) -> dict[str, Any]:
        """All settings that are set, flat.

        Raises:
            InputError: settings that cannot be.
        """
        found = self._policy(self.given(task)).settings.values
        return {name: value for name, value in found.items() if value is not None}

    def _policy(self, given: Mapping[str, Any]) -> policy.Policy:
        return policy.make(self.model.card, self.preset, given, self.model.defaults)

    def identity(
        self, task: Task, numbered: tuple[int, Example], mode: str, settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The fields of a record that tell its answer from others; ``numbered``: the example."""
        number, example = numbered
        style = task.style(self.model.card.family) if self.style is None else self.style
        return {
            "task": task.name,
            "index": number,
            "question": digest(task.ask(example, style), example),
            "style": style,
            "mode": mode,
            "method": self.method,
            "model": self.name,
            "weights": self.weights,
            "preset": self.preset,
            "settings": dict(settings),
            "swept": dict(self.swept),
            "batch_size": self.batch_size,
            **(place_of(self.model) if self.place is None else self.place),
        }


def place_of(model: Model) -> dict[str, Any]:
    """The fields of a record that tell where a model computes, and in which number type."""
    denoiser = model.denoiser
    return {
        "dtype": denoiser.dtype,
        "device": provenance.machine(denoiser.device),
        "threads": torch.get_num_threads(),
    }


def run(who: Contestant, task: Task, examples: Mapping[int, Example]) -> Iterator[Record]:
    """A record for every example, by their numbers, in the order in which answers are finished.

    Raises:
        InputError: settings or prompts that cannot be.
        DecodeError: the model returned NaN.
    """
    if not examples:
        return
    numbers, given = list(examples), who.given(task)
    canvas = int(given["max_new_tokens"])
    asked = [ask(who.model, task, example, canvas, who.style) for example in examples.values()]
    prompts = [one.ids for one in asked]
    _warm_up(who, prompts[: who.batch_size], given)
    rows = prepare(who.model, prompts, who.preset, raw=False, overrides=given)
    ledger = Ledger()
    for at, result in finished(who.model, rows, who.batch_size, ledger.watch):
        number = numbers[at]
        yield _record(who, task, (number, examples[number]), asked[at], (result, ledger.rows[at]))


def _warm_up(who: Contestant, prompts: Sequence[list[int]], given: dict[str, Any]) -> None:
    rows = prepare(who.model, list(prompts), who.preset, raw=False, overrides=given)
    for _ in itertools.islice(decode(who.model.denoiser, rows, len(rows)), WARM_UP):
        pass


@dataclass
class Cost:
    """Of one row: seconds of its share, forwards that read from a cache."""

    seconds: float = 0.0
    cached: int = 0


class Ledger:
    """Splits the time of every forward evenly among its rows."""

    def __init__(self) -> None:
        self.rows: dict[int, Cost] = {}
        self._before = 0.0

    def watch(self, commits: list[Commit], seconds: float) -> None:
        """After a forward; ``seconds``: of decoding so far."""
        share = (seconds - self._before) / len(commits)
        self._before = seconds
        for commit in commits:
            cost = self.rows.setdefault(commit.row, Cost())
            cost.seconds += share
            cost.cached += commit.read > 0


def _record(
    who: Contestant,
    task: Task,
    example: tuple[int, Example],
    asked: Asked,
    answer: tuple[Result, Cost],
) -> Record:
    (_, known), (result, cost) = example, answer
    stops = asked.question.stops
    written = result.token_ids[: result.tokens]
    stopped = tokens_to_stop(codec_of(who.model), written, stops) if stops else None
    text = cut(result.text or "", stops)
    scores = task.score(known, text)
    return Record(
        **who.identity(task, example, "generate", who.settings(task)),
        prompt_tokens=len(asked.ids),
        left_out=asked.left_out,
        versions=provenance.versions(),
        commit=provenance.commit(),
        text=text,
        scores=scores,
        right=scores[task.metric],
        tokens=stopped or result.tokens,
        forwards=result.forwards,
        refresh_forwards=result.forwards - cost.cached,
        cached_forwards=cost.cached,
        fed_positions=result.fed_positions,
        latency=round(result.seconds, 6),
        seconds=round(cost.seconds, 6),
    )
