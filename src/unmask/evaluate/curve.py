"""What a method's curve on a task is, and how large the area under it is in a given company."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.evaluate.aup import BAND, aup, comparable
from unmask.evaluate.intervals import Interval, of_draws

MEASURED = "measured"
"""Source of curves that come from records; others are named after where they were published."""
ACCURACY = "accuracy"
NAMES = {"chrf": "sentence chrF", "exact": "exact match", "exact_match": "exact match", "f1": "F1"}
"""What to call a metric, where its own name does not do."""


def named(metric: str) -> str:
    """The metric as people call it."""
    return NAMES.get(metric, metric.replace("_", " "))


def unit(metric: str) -> str:
    """What stands behind a score in hundredths; chrF has no unit."""
    return "" if metric == "chrf" else " %"


def measure(metric: str) -> str:
    """A metric with its unit, for an axis or a column."""
    return f"{named(metric)} (%)" if unit(metric) else named(metric)


@dataclass(frozen=True)
class Dot:
    """One setting of a method.

    ``rate``: tokens per forward. ``accuracy``: percent. ``speed``: tokens per second, None where
    not told. ``swept``: what sets it apart from the other dots. ``answers``: how many it is over.
    """

    rate: Interval
    accuracy: Interval
    speed: Interval | None = None
    swept: Mapping[str, Any] = field(default_factory=dict)
    answers: int | None = None


@dataclass(frozen=True)
class Curve:
    """Dots by rising rate.

    ``metric``: what the accuracy of the dots is; a translation has none, but chrF.
    ``indices``: the examples that every dot answered; None where unknown or not the same for all.
    ``draws``: bootstrap replicas [draws, dots, 2] of (rate, accuracy). ``printed``: the area as its
    source prints it.
    """

    task: str
    label: str
    source: str
    dots: tuple[Dot, ...]
    indices: tuple[int, ...] | None = None
    draws: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    printed: float | None = None
    metric: str = ACCURACY

    @property
    def start(self) -> Interval:
        """Tokens per forward of the slowest dot."""
        return self.dots[0].rate

    @property
    def comparable(self) -> bool:
        """Whether it starts at one token per forward, or near enough to have an AUP."""
        return comparable(self.start.value)

    @property
    def best(self) -> float:
        """Highest accuracy, in percent."""
        return max(dot.accuracy.value for dot in self.dots)

    def kept(self) -> tuple[bool, ...]:
        """Which dots are within the band below the slowest one; only these count."""
        floor = self.dots[0].accuracy.value - BAND
        return tuple(dot.accuracy.value >= floor for dot in self.dots)

    def operating(self) -> Dot:
        """The fastest dot that counts."""
        return [dot for dot, counts in zip(self.dots, self.kept(), strict=True) if counts][-1]


@dataclass(frozen=True)
class Scored:
    """A curve with its area.

    ``area``: AUP with the best accuracy of the company, ``best``. ``own``: AUP with the curve's own
    best, which does not depend on the company. Both are None where the curve is not comparable.
    ``dropped``: dots out of the band.
    """

    curve: Curve
    area: Interval | None
    own: Interval | None
    best: float
    dropped: int


def scored(curves: Sequence[Curve]) -> list[Scored]:
    """Areas of curves that stand in one table, largest first (then by label); behind them the
    curves that have none, for they do not start at one token per forward.

    Intervals hold the best accuracy fixed. Curves whose tokens per forward are 0 (nothing was
    generated) are left out.
    """
    able = [curve for curve in curves if curve.start.value > 0]
    if not able:
        return []
    best = max(curve.best for curve in able)
    found = [_scored(curve, best) for curve in able]
    return sorted(found, key=_rank)


def _rank(one: Scored) -> tuple[bool, float, str, str]:
    area = one.area.value if one.area else 0.0
    return one.area is None, -area, one.curve.label, one.curve.source


def _scored(curve: Curve, best: float) -> Scored:
    dots = [(dot.rate.value, dot.accuracy.value) for dot in curve.dots]
    shared, own = aup(dots, best), aup(dots)
    if not curve.comparable:
        return Scored(curve, None, None, best, shared.dropped)
    return Scored(
        curve,
        _with_interval(shared.value, curve.draws, best),
        _with_interval(own.value, curve.draws, None),
        best,
        shared.dropped,
    )


def _with_interval(value: float, draws: NDArray[np.float64] | None, best: float | None) -> Interval:
    if draws is None:
        return Interval(value)
    return of_draws(value, np.array([_area(dots, best) for dots in draws.tolist()]))


def _area(dots: Iterable[Sequence[float]], best: float | None) -> float:
    """AUP of one replica."""
    pairs = [(rate, accuracy) for rate, accuracy in dots]
    return aup(pairs, best).value if all(rate > 0 for rate, _ in pairs) else float("nan")
