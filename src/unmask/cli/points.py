"""The points of an evaluation at the terminal: a table for people, objects for programs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from unmask.cli.screen import Screen
from unmask.evaluate.curve import scored
from unmask.evaluate.intervals import Interval
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
    areas = {
        (one.curve.task, one.curve.label): one
        for one in scored(curves(found))
        if len(one.curve.dots) > 1
    }
    if as_json:
        entries = [_object(point, more.get(_key(point), {})) for point in found]
        summed = [
            {"task": task, "method": label, "aup": one.own.value, "dropped": one.dropped}
            for (task, label), one in areas.items()
        ]
        print(json.dumps({"records": str(where), "points": entries, "aup": summed}))
        return
    screen = Screen()
    if not screen.is_terminal:
        screen.width = WIDTH
    for method, group in itertools.groupby(found, key=lambda point: point.setup.method):
        screen.print(f"\n{method}", style="bold", markup=False)
        screen.print(_table(list(group), more))
    for (task, label), one in areas.items():
        dropped = f", {one.dropped} out of the five-point band" if one.dropped else ""
        text = f"\nAUP of {label} on {task}: {_value(one.own, '.1f')}{dropped}"
        screen.print(text, markup=False)
    cut = sum(point.left_out for point in found)
    if cut:
        screen.print(f"\n{cut} prompts were longer than the model takes and cut at the left")
    screen.print(f"\nrecords: {where}", soft_wrap=True, markup=False)


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
        share = point.accuracy
        table.add_row(
            point.setup.task,
            *(_swept(point.swept),) * swept,
            str(point.answers),
            f"{share.value:.1f} % [dim]({share.low:.1f} to {share.high:.1f})[/]",
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
        for name in ("accuracy", "tokens_per_forward", "tokens_per_second")
        for one in [getattr(point, name)]
    }
    means = ("tokens", "forwards", "refresh_forwards", "cached_forwards", "fed_per_token",
             "latency", "left_out", "answers")  # fmt: skip
    return {
        "task": point.setup.task,
        "method": point.setup.method,
        "swept": dict(point.swept),
        **intervals,
        **{name: getattr(point, name) for name in means},
        **figures,
    }


def _key(point: Point) -> tuple[str, str]:
    return point.setup.task, _swept(point.swept)


def _swept(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
