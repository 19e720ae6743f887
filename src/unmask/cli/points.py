"""The points of an evaluation at the terminal: a table for people, objects for programs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from unmask.cli.screen import Screen
from unmask.errors import counted
from unmask.evaluate.aup import START
from unmask.evaluate.curve import ACCURACY, Scored, named, scored, unit
from unmask.evaluate.intervals import Interval
from unmask.evaluate.leaderboard import ADVICE
from unmask.evaluate.metrics import Point, curves, points
from unmask.evaluate.record import Record
from unmask.evaluate.task import Example, Scores, Task

WIDTH = 120  # of the table in a file or pipe
Overall = Mapping[tuple[str, str], Scores]
"""Figures over all answers by task and (swept settings as text)."""


def overall(
    tasks: Sequence[Task], questions: Mapping[str, Sequence[Example]], records: Sequence[Record]
) -> dict[tuple[str, str], Scores]:
    """BLEU and the like, of tasks that have such, for every point."""
    found: dict[tuple[str, str], Scores] = {}
    for task in tasks:
        groups: dict[str, list[tuple[Example, str]]] = {}
        for record in records:
            if task.overall and record.task == task.name:
                pair = (questions[task.name][record.index], record.text)
                groups.setdefault(_swept(record.swept), []).append(pair)
        if task.overall:
            found |= {(task.name, swept): task.overall(pairs) for swept, pairs in groups.items()}
    return found


def show(records: Sequence[Record], more: Overall, *, as_json: bool, where: Path) -> None:
    """Points, and AUP of the curves that have several."""
    found = sorted(points(records), key=lambda point: point.setup.method)
    areas = [one for one in scored(curves(found)) if len(one.curve.dots) > 1]
    if as_json:
        entries = [_object(point, more.get(_key(point), {})) for point in found]
        summed = [_area_object(one) for one in areas]
        print(json.dumps({"records": str(where), "points": entries, "aup": summed}))
        return
    screen = Screen(wide=WIDTH)
    for method, group in itertools.groupby(found, key=lambda point: point.setup.method):
        screen.print(f"\n{method}", style="bold", markup=False)
        screen.table(_table(list(group), more))
    for one in areas:
        screen.print(f"\n{_area(one)}", markup=False, soft_wrap=True)
    cut = sum(point.left_out for point in found)
    if cut:
        screen.print(f"\n{counted(cut, 'prompt')} longer than the model takes, cut at the left")
    screen.print(f"\nrecords: {where}", soft_wrap=True, markup=False)


def _area(one: Scored) -> str:
    """A sentence about a curve: its area and where it starts, or why it has none."""
    start, name = one.curve.start.value, f"AUP of {one.curve.label} on {one.curve.task}"
    if one.own is None:
        return (
            f"{name}: none that can be compared, for the curve starts at {start:.2f} tokens per "
            f"forward (at most {START:g}); {ADVICE}"
        )
    dropped = f", {one.dropped} out of the five-point band" if one.dropped else ""
    return f"{name}: {one.own.value:.1f}, from {start:.2f} tokens per forward on{dropped}"


def _area_object(one: Scored) -> dict[str, Any]:
    return {
        "task": one.curve.task,
        "method": one.curve.label,
        "aup": one.own.value if one.own else None,
        "start": one.curve.start.value,
        "comparable": one.curve.comparable,
        "dropped": one.dropped,
    }


def shown(metric: str, value: float) -> str:
    """A mean score in percent, by its name."""
    if metric == ACCURACY:
        return f"{value:.1f}% right"
    return f"{named(metric)} {value:.1f}{unit(metric)}"


def _table(found: Sequence[Point], more: Overall) -> Table:
    table = Table(box=None, pad_edge=False)
    figures = [more.get(_key(point), {}) for point in found]
    swept, also = any(point.swept for point in found), any(figures)
    table.add_column("task", no_wrap=True)
    for name in ("swept",) * swept:
        table.add_column(name, no_wrap=True)
    for name in ("answers", "score (95 %)", "TPF", "forwards", "tokens/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("",) * also:
        table.add_column(name, overflow="fold")
    for point, own in zip(found, figures, strict=True):
        share, metric = point.accuracy, point.metric
        name = "" if metric == ACCURACY else f"{named(metric)} "
        table.add_row(
            point.setup.task,
            *(_swept(point.swept),) * swept,
            str(point.answers),
            f"{name}{share.value:.1f}{unit(metric)} [dim]({share.low:.1f} to {share.high:.1f})[/]",
            _value(point.tokens_per_forward, ".2f") if point.tokens else "-",
            f"{point.forwards:.1f}",
            _value(point.tokens_per_second, ".0f") if point.tokens else "-",
            *(", ".join(f"{name} {value:.2f}" for name, value in own.items()),) * also,
        )
    return table


def _value(one: Interval | None, form: str) -> str:
    return format(one.value, form) if one else "-"


def _object(point: Point, figures: Scores) -> dict[str, Any]:
    intervals = {
        name: None if one is None else [one.value, one.low, one.high]
        for name in ("tokens_per_forward", "tokens_per_second")
        for one in [getattr(point, name)]
    }
    means = ("tokens", "forwards", "refresh_forwards", "cached_forwards", "fed_per_token",
             "latency", "left_out", "answers")  # fmt: skip
    return {
        "task": point.setup.task,
        "method": point.setup.method,
        "swept": dict(point.swept),
        "metric": point.metric,
        ACCURACY if point.metric == ACCURACY else f"mean_{point.metric}": [
            point.accuracy.value,
            point.accuracy.low,
            point.accuracy.high,
        ],
        **intervals,
        **{name: getattr(point, name) for name in means},
        **figures,
    }


def _key(point: Point) -> tuple[str, str]:
    return point.setup.task, _swept(point.swept)


def _swept(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
