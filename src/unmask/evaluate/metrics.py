"""What records amount to: points (a method at one setting on a task), and curves of these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.errors import InputError
from unmask.evaluate.curve import MEASURED, Curve, Dot
from unmask.evaluate.intervals import Interval, divided, of_draws, ratio, resampled, wilson
from unmask.evaluate.record import Record


@dataclass(frozen=True)
class Setup:
    """All that the points of one curve have in common. ``fixed``: settings not swept, as JSON."""

    task: str
    method: str
    model: str
    preset: str
    mode: str
    style: str
    batch_size: int
    dtype: str
    device: str
    threads: int
    weights: str
    fixed: str

    def settings(self) -> dict[str, Any]:
        """The settings that were not swept."""
        found: dict[str, Any] = json.loads(self.fixed)
        return found


@dataclass(frozen=True)
class Point:
    """A method at one setting.

    ``indices``: the examples answered. ``metric``: what ``accuracy`` is, in percent.
    ``tokens_per_forward`` and ``tokens_per_second``: of the sums; None where no forward was made or
    no time was noted. ``tokens``, ``forwards``, ``refresh_forwards``, ``cached_forwards`` and
    ``latency`` (seconds): mean per answer. ``fed_per_token``: positions fed per token.
    ``left_out``: answers whose prompt was cut. ``draws``: bootstrap replicas [draws, 2] of (tokens
    per forward, accuracy).
    """

    setup: Setup
    swept: Mapping[str, Any]
    indices: tuple[int, ...]
    metric: str
    accuracy: Interval
    tokens_per_forward: Interval | None
    tokens_per_second: Interval | None
    tokens: float
    forwards: float
    refresh_forwards: float
    cached_forwards: float
    fed_per_token: float | None
    latency: float
    left_out: int
    draws: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def answers(self) -> int:
        """How many."""
        return len(self.indices)


def points(records: Iterable[Record], seed: int = 0) -> list[Point]:
    """One point for every setup and swept setting, sorted by setup and tokens per forward.

    ``seed``: of the bootstrap; the same records give the same intervals.

    Raises:
        InputError: an example was answered twice at the same setting.
    """
    groups: dict[tuple[Setup, str], dict[int, Record]] = {}
    for record in records:
        setup, swept = _setup(record), _canonical(record.swept)
        group = groups.setdefault((setup, swept), {})
        if record.index in group:
            raise InputError(
                f"the record with key {record.key} stands there twice; give every file once"
            )
        group[record.index] = record
    found = [_point(setup, group, seed) for (setup, _), group in groups.items()]
    return sorted(found, key=lambda one: (*_order(one.setup), _rate(one), _canonical(one.swept)))


def curves(found: Sequence[Point]) -> list[Curve]:
    """The points of every setup, as curves.

    Labels are the methods; where one stands for several setups of a task, what tells these apart
    is added.
    """
    groups: dict[Setup, list[Point]] = {}
    # Of points of one rate the most accurate first, as `unmask.evaluate.aup` takes them.
    for point in sorted(found, key=lambda one: (_rate(one), -one.accuracy.value)):
        groups.setdefault(point.setup, []).append(point)
    names = _labels(list(groups))
    ordered = sorted(groups, key=lambda setup: (setup.task, names[setup]))
    return [_curve(names[setup], groups[setup]) for setup in ordered]


def _setup(record: Record) -> Setup:
    fixed = {name: value for name, value in record.settings.items() if name not in record.swept}
    own = {one.name: getattr(record, one.name) for one in fields(Setup) if one.name != "fixed"}
    return Setup(**own, fixed=_canonical(fixed))


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True, default=str)


def _order(setup: Setup) -> tuple[str, ...]:
    return tuple(str(getattr(setup, one.name)) for one in fields(setup))


def _rate(point: Point) -> float:
    return point.tokens_per_forward.value if point.tokens_per_forward else 0.0


def _point(setup: Setup, group: Mapping[int, Record], seed: int) -> Point:
    indices = tuple(sorted(group))
    rows = [group[index] for index in indices]
    names = ("right", "tokens", "forwards", "seconds", "fed_positions", "latency")
    table = np.array([[getattr(row, name) for name in names] for row in rows], dtype=np.float64)
    right, tokens, forwards, seconds, fed, latency = table.T
    draws = resampled(table[:, :4], seed)
    shares = draws[:, 0] / len(rows)
    return Point(
        setup=setup,
        swept=rows[0].swept,
        indices=indices,
        metric=rows[0].metric,
        accuracy=_accuracy(right, shares).times(100),
        tokens_per_forward=ratio(tokens, forwards, draws[:, (1, 2)]),
        tokens_per_second=ratio(tokens, seconds, draws[:, (1, 3)]),
        tokens=float(tokens.mean()),
        forwards=float(forwards.mean()),
        refresh_forwards=float(np.mean([row.refresh_forwards for row in rows])),
        cached_forwards=float(np.mean([row.cached_forwards for row in rows])),
        fed_per_token=float(fed.sum() / tokens.sum()) if tokens.sum() else None,
        latency=float(latency.mean()),
        left_out=sum(row.left_out > 0 for row in rows),
        draws=np.stack([divided(draws[:, 1], draws[:, 2]), shares * 100], axis=1),
    )


def _accuracy(right: NDArray[np.float64], shares: NDArray[np.float64]) -> Interval:
    """Wilson's interval where every answer is right or wrong, else that of the draws."""
    if np.isin(right, (0.0, 1.0)).all():
        return wilson(int(right.sum()), len(right))
    return of_draws(float(right.mean()), shares)


def _curve(label: str, group: Sequence[Point]) -> Curve:
    same = len({point.indices for point in group}) == 1
    return Curve(
        task=group[0].setup.task,
        label=label,
        source=MEASURED,
        dots=tuple(
            Dot(
                point.tokens_per_forward or Interval(0.0),
                point.accuracy,
                point.tokens_per_second,
                point.swept,
                point.answers,
            )
            for point in group
        ),
        indices=group[0].indices if same else None,
        draws=np.stack([point.draws for point in group], axis=1) if same else None,
        metric=group[0].metric,
    )


def _labels(setups: Sequence[Setup]) -> dict[Setup, str]:
    """Method, and what sets its setups apart on any task: a label means the same on every task."""
    apart: dict[str, set[str]] = {}
    by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for setup in setups:
        by_task.setdefault((setup.task, setup.method), []).append(_facts(setup))
    for (_, method), rivals in by_task.items():
        names = {name for facts in rivals for name in facts}
        differing = {name for name in names if len({str(f.get(name)) for f in rivals}) > 1}
        models = {(_short("model", facts["model"]), facts["weights"]) for facts in rivals}
        if len({name for name, _ in models}) == len(models) > 1:
            differing -= {"weights"}  # the names tell as much
        apart.setdefault(method, set()).update(differing)
    return {setup: _label(setup, apart[setup.method]) for setup in setups}


def _facts(setup: Setup) -> dict[str, Any]:
    """What can set two setups of a method apart, by name."""
    own = {one.name: getattr(setup, one.name) for one in fields(setup)}
    for name in ("task", "method", "fixed"):
        del own[name]
    return {**own, **setup.settings()}


def _label(setup: Setup, apart: set[str]) -> str:
    facts = _facts(setup)
    said = [
        _short(name, str(facts[name])) if name in ("model", "weights") else f"{name} {facts[name]}"
        for name in facts
        if name in apart
    ]
    return f"{setup.method} ({', '.join(said)})" if said else setup.method


def _short(name: str, value: str) -> str:
    """A model by the last part of its name, weights by the first digits of their fingerprint."""
    return value.rstrip("/").rsplit("/", 1)[-1] if name == "model" else value[:8]
