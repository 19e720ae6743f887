"""Decoders side by side on the same prompts, interleaved round by round in one run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from unmask.canvas.canvas import MASKED
from unmask.canvas.events import Commit
from unmask.decode.generate import Result, finished, prepare
from unmask.decode.prompts import Prompt
from unmask.decode.step import Row
from unmask.decode.window import BLOCK_LENGTH
from unmask.evaluate.curve import ACCURACY, unit
from unmask.evaluate.memory import PeakMemory
from unmask.evaluate.questions import ask
from unmask.evaluate.task import Example, Task
from unmask.models.loading import Model

Note = Callable[[str], None]
"""Hears what has just been finished, in words."""


def quiet(finished: str) -> None:
    """Nobody wants to hear of it."""
    del finished


@dataclass(frozen=True)
class Contender:
    """A model and how it decodes."""

    name: str
    model: Model
    preset: str
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """What everyone has to answer. Without examples there is no accuracy."""

    prompts: list[Prompt]
    batch_size: int
    raw: bool = False
    task: Task | None = None
    examples: Sequence[Example] = ()


def workload(model: Model, task: Task, examples: Sequence[Example], batch_size: int) -> Workload:
    """The examples of a task, asked in the style of the model's family."""
    prompts: list[Prompt] = [ask(model, task, one, task.canvas).ids for one in examples]
    return Workload(prompts, batch_size, task=task, examples=examples)


@dataclass(frozen=True)
class Round:
    """One pass of one contender over the workload."""

    seconds: float
    first_block: float
    peak_bytes: int
    results: list[Result]


@dataclass(frozen=True)
class Line:
    """A row of the table; rates are medians over the rounds.

    ``tokens`` count up to and including the first end token. ``first_block``: seconds until the
    first block (for a causal model as many tokens) of an answer stands, mean over prompts.
    ``peak_bytes``: most memory of a round above what was in use before it. ``score``: mean of the
    task's ``metric``, 0 to 1; both None without a task. ``to_*``: ratio of
    tokens per second to the contender of that preset.
    """

    name: str
    tokens_per_second: float
    tokens: int
    forwards: int
    tokens_per_forward: float
    fed_positions: int
    seconds: float
    first_block: float
    peak_bytes: int
    score: float | None
    metric: str | None = None
    to_vanilla: float | None = None
    to_ar: float | None = None

    def shown(self) -> str:
        """The score with its unit, empty without a task."""
        if self.score is None or self.metric is None:
            return ""
        return f"{100 * self.score:.1f}{unit(self.metric)}"

    def as_object(self) -> dict[str, Any]:
        """For --json; the score stands under the name of its metric."""
        found = asdict(self)
        score, metric = found.pop("score"), found.pop("metric")
        return {**found, metric or ACCURACY: score}


def contest(
    contenders: Sequence[Contender], load: Workload, rounds: int, note: Note = quiet
) -> list[Line]:
    """Run all contenders ``rounds`` times, in turn, after one warm-up on a few prompts each.
    ``note`` hears of every pass."""
    for contender in contenders:
        run(contender, Workload(load.prompts[: load.batch_size], load.batch_size, load.raw))
    played: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for number in range(1, rounds + 1):
        for contender in contenders:
            played[contender.name].append(run(contender, load))
            note(f"{contender.name}, round {number} of {rounds}")
    rates = {name: _rate(own) for name, own in played.items()}
    presets = {contender.preset: contender.name for contender in reversed(contenders)}
    return [
        _line(name, own, load, {kind: rates[name] / rates[base] for kind, base in presets.items()})
        for name, own in played.items()
    ]


def measured(contender: Contender, load: Workload) -> Line:
    """One pass of one contender, without a warm-up and without ratios."""
    return _line(contender.name, [run(contender, load)], load, {})


def run(contender: Contender, load: Workload) -> Round:
    """One pass."""
    overrides = dict(contender.overrides)
    model = contender.model
    rows = prepare(model, load.prompts, contender.preset, raw=load.raw, overrides=overrides)
    clock = _FirstBlock(rows)
    with PeakMemory(model.denoiser.device) as memory:
        results = dict(finished(model, rows, load.batch_size, clock.watch))
    ordered = [results[index] for index in range(len(rows))]
    return Round(clock.total, statistics.mean(clock.seconds.values()), memory.bytes, ordered)


class _FirstBlock:
    """Notes when the first block of every row stands."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.began: dict[int, float] = {}
        self.seconds: dict[int, float] = {}
        self.total = 0.0

    def watch(self, commits: list[Commit], seconds: float) -> None:
        """After a forward."""
        for commit in commits:
            began = self.began.setdefault(commit.row, self.total)
            if commit.row not in self.seconds and self._stands(self.rows[commit.row]):
                self.seconds[commit.row] = seconds - began
        self.total = seconds

    @staticmethod
    def _stands(row: Row) -> bool:
        start = row.canvas.prompt_length
        stop = start + row.policy.settings[BLOCK_LENGTH]
        return not (row.canvas.born_L[start:stop] == MASKED).any()


def _rate(rounds: list[Round]) -> float:
    """Median tokens per second."""
    return statistics.median(
        sum(result.tokens for result in one.results) / one.seconds for one in rounds
    )


def _line(name: str, rounds: list[Round], load: Workload, ratios: dict[str, float]) -> Line:
    results = rounds[0].results
    tokens, forwards = sum(r.tokens for r in results), sum(r.forwards for r in results)
    score = metric = None
    if load.task:
        metric, pairs = load.task.metric, zip(load.examples, results, strict=True)
        score = statistics.mean(
            load.task.score(example, result.text or "")[metric] for example, result in pairs
        )
    return Line(
        name=name,
        tokens_per_second=_rate(rounds),
        tokens=tokens,
        forwards=forwards,
        tokens_per_forward=tokens / forwards,
        fed_positions=sum(r.fed_positions for r in results),
        seconds=statistics.median(one.seconds for one in rounds),
        first_block=statistics.median(one.first_block for one in rounds),
        peak_bytes=max(one.peak_bytes for one in rounds),
        score=score,
        metric=metric,
        to_vanilla=ratios.get("vanilla"),
        to_ar=ratios.get("ar"),
    )
