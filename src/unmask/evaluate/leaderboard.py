"""Which curves share a table, what each of them is worth there, and what methods average."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from unmask.evaluate import published
from unmask.evaluate.aup import START
from unmask.evaluate.curve import MEASURED, Curve, Scored, scored

PROTOCOL = (
    "Measured and published figures differ in protocol. Published: one prompt at a time in "
    "bfloat16, tokens counted by encoding the decoded text again, accuracy at one token per "
    "forward often taken with another decoder, two settings per method at most. Measured: tokens "
    "as they were written, up to the first end token. Compare within a source first."
)
MATH = (
    "math500 is 500 problems of MATH; the published MATH figures are over its whole test set, so "
    "they stand in a table of their own."
)
ADVICE = (
    "sweep a setting that writes one as well, say threshold=0 for d3llm and dparallel, threshold=1 "
    "for fast-dllm"
)
"""To whoever has no area."""
SHIFT = 5e-3
"""From which difference on an area counts as another than the one printed."""


@dataclass(frozen=True)
class Table:
    """Curves of one task that are compared. ``company``: whose curves. ``best``: the accuracy (in
    percent) that all areas refer to."""

    task: str
    company: str
    rows: tuple[Scored, ...]
    best: float
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Task and company."""
        return f"{self.task}, {self.company}"

    @property
    def metric(self) -> str:
        """What the accuracy of all rows is."""
        return self.rows[0].curve.metric


@dataclass(frozen=True)
class Average:
    """A method's mean area over the ``tasks`` tables in which it has one, ``of`` a company's.
    ``start``: the highest of its starts, in tokens per forward."""

    company: str
    label: str
    area: float
    own: float
    start: float
    tasks: int
    of: int


def tables(measured: Sequence[Curve], families: Sequence[str] = ()) -> list[Table]:
    """One table per task of ours; beside it, per family, one with the published curves of the same
    questions; then what these families have published on other tasks."""
    found: list[Table] = []
    tasks = sorted({curve.task for curve in measured})
    for task in tasks:
        own = [curve for curve in measured if curve.task == task]
        notes = (MATH,) if families and task == "math500" else ()
        found.extend(_table(task, MEASURED, own, notes))
        for family, theirs in _same_questions(task, families):
            curves = [*own, *published.curves(family, theirs)]
            note = f"Published as {theirs}. {PROTOCOL}"
            found.extend(_table(task, f"with published {family}", curves, (note,)))
    for family in families:
        for task in published.tasks(family):
            if published.OURS.get(task) not in tasks:
                found.extend(_published_table(family, task))
    return found


def averages(measured: Sequence[Curve], families: Sequence[str] = ()) -> list[Average]:
    """Mean areas over the tasks that a method has curves on, in its own company: ours among ours,
    each family as published. Those with most tasks first, for a mean over fewer is of another
    thing; among them the largest. Who has an area on no task is left out."""
    own = [table for table in tables(measured) if table.company == MEASURED]
    found = _averages(MEASURED, own)
    for family in families:
        theirs = [
            table for task in published.tasks(family) for table in _published_table(family, task)
        ]
        found += _averages(f"{family}, published", theirs)
    return found


def _same_questions(task: str, families: Iterable[str]) -> list[tuple[str, str]]:
    """(family, its name of our ``task``) wherever there is one."""
    return [
        (family, theirs)
        for family in families
        for theirs in published.tasks(family)
        if published.OURS.get(theirs) == task
    ]


def _published_table(family: str, task: str) -> list[Table]:
    return _table(task, f"{family}, published", published.curves(family, task), ())


def _table(task: str, company: str, curves: Sequence[Curve], notes: tuple[str, ...]) -> list[Table]:
    """A table, or none where nobody generated anything."""
    rows = scored(curves)
    if not rows:
        return []
    remarks = (*_examples(curves), *notes, *_moved(rows), *_late(rows))
    return [Table(task, company, tuple(rows), rows[0].best, remarks)]


def _examples(curves: Sequence[Curve]) -> list[str]:
    """A warning where measured methods did not all answer the same."""
    own = [curve for curve in curves if curve.source == MEASURED]
    if len({curve.indices for curve in own}) <= 1 and all(curve.indices for curve in own):
        return []
    counts = ", ".join(f"{curve.label} {_count(curve)}" for curve in own)
    return [f"Not all methods answered the same examples ({counts}): differences are not paired."]


def _count(curve: Curve) -> str:
    """Answers per setting, a range where they differ."""
    counts = sorted({dot.answers or 0 for dot in curve.dots})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _moved(rows: Sequence[Scored]) -> list[str]:
    """Areas that the source prints otherwise, say because its table has another best accuracy."""
    moved = [
        f"{row.curve.label} {row.curve.printed:.2f}"
        for row in rows
        if row.area
        and row.curve.printed is not None
        and abs(row.area.value - row.curve.printed) > SHIFT
    ]
    return [f"Areas that the source prints otherwise: {', '.join(moved)}."] if moved else []


def _late(rows: Sequence[Scored]) -> list[str]:
    """Who has no area, and how to get one."""
    late = [f"{row.curve.label} at {row.curve.start.value:.2f}" for row in rows if row.area is None]
    if not late:
        return []
    named = ", ".join(late)
    return [f"No AUP for curves that start above {START:g} tokens per forward ({named}): {ADVICE}."]


def _averages(company: str, own: Sequence[Table]) -> list[Average]:
    by_label: dict[str, list[tuple[float, float, float]]] = {}
    for table in own:
        for row in table.rows:
            if row.area and row.own:
                figures = row.area.value, row.own.value, row.curve.start.value
                by_label.setdefault(row.curve.label, []).append(figures)
    found = []
    for label, rows in by_label.items():
        areas, alone, starts = zip(*rows, strict=True)
        figures = mean(areas), mean(alone), max(starts)
        found.append(Average(company, label, *figures, len(rows), len(own)))
    return sorted(found, key=lambda one: (-one.tasks, -one.area, one.label))
