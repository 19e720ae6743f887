"""A leaderboard as text: Markdown for people, CSV for programs. The same input, the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from unmask.evaluate.aup import START
from unmask.evaluate.curve import MEASURED, Scored, measure, named, unit
from unmask.evaluate.intervals import Interval
from unmask.evaluate.leaderboard import Average, Table

MEAN_HEADS = ("method", "starts at", "AUP", "AUP, own best", "tasks")
NONE = "not comparable"
COLUMNS = (
    "task", "company", "method", "source", "points", "dropped", "answers", "tokens_per_forward",
    "tokens_per_forward_low", "tokens_per_forward_high", "accuracy", "accuracy_low",
    "accuracy_high", "tokens_per_second", "tokens_per_second_low", "tokens_per_second_high", "aup",
    "aup_low", "aup_high", "own_aup", "own_aup_low", "own_aup_high", "best_accuracy",
    "printed_aup", "start", "comparable", "metric",
)  # fmt: skip
LEGEND = (
    "Tokens per forward, accuracy and tokens/s are those of the fastest setting within 5 points of "
    "the method's slowest; points: settings, and how many of them are out of that band. Starts at: "
    "tokens per forward of the slowest setting. AUP: area under the curve of accuracy over tokens "
    "per forward, lost accuracy weighing more than its share, with the best accuracy of the table "
    "as scale; own best: with the method's own, so that it does not depend on who else stands "
    f"there. Curves that start above {START:g} tokens per forward have none and no rank: what they "
    "do at one token per forward is not known. In brackets: 95 % intervals (Wilson, or bootstrap "
    "over answers), which published figures do not have."
)


def markdown(
    tables: Sequence[Table],
    averages: Sequence[Average],
    pictures: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> str:
    """The whole leaderboard as one page. ``pictures``: files by theme, by title of the section."""
    parts = ["# Leaderboard", LEGEND]
    for table in tables:
        parts.append(f"## {table.title}")
        parts.extend(_picture(table.title, pictures))
        parts.append(_grid(heads(table.metric), [cells(row) for row in table.rows]))
        parts.append(
            f"Best {named(table.metric)} (scale of AUP): {table.best:.2f}{unit(table.metric)}."
        )
        parts.extend(table.notes)
    for company in dict.fromkeys(one.company for one in averages):
        own = [one for one in averages if one.company == company]
        parts.append(f"## {mean_title(company)}")
        parts.extend(_picture(mean_title(company), pictures))
        parts.append(_grid(MEAN_HEADS, [mean_cells(one) for one in own]))
    return "\n\n".join(parts) + "\n"


def mean_title(company: str) -> str:
    """Of the section with a company's averages."""
    return f"Mean AUP, {company}"


def mean_cells(one: Average) -> tuple[str, ...]:
    """A row for people, under ``MEAN_HEADS``."""
    tasks = f"{one.tasks} of {one.of}"
    return one.label, f"{one.start:.2f}", f"{one.area:.2f}", f"{one.own:.2f}", tasks


def _picture(title: str, pictures: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The one that suits the reader's background, where there are two."""
    files = pictures.get(title, {})
    if {"light", "dark"} <= files.keys():
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{files["dark"]}">'
        return [f'<picture>{dark}<img alt="{title}" src="{files["light"]}"></picture>']
    return [f"![{title}]({file})" for file in files.values()]


def table_csv(tables: Sequence[Table]) -> str:
    """A line for every row of every table; empty where unknown."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for row in table.rows:
            writer.writerow([table.task, table.company, *_figures(row)])
    return out.getvalue()


def heads(metric: str) -> tuple[str, ...]:
    """Of the columns of `cells`."""
    return (
        "method", "source", "points", "tokens per forward", measure(metric), "tokens/s",
        "starts at", "AUP", "AUP, own best",
    )  # fmt: skip


def cells(row: Scored, brief: bool = False) -> tuple[str, ...]:
    """A row for people, under `heads`; ``brief``: intervals of accuracy and AUP only."""
    curve, dot = row.curve, row.curve.operating()
    dropped = f", {row.dropped} out" if row.dropped else ""
    rate, speed, own = (
        Interval(one.value) if brief and one else one for one in (dot.rate, dot.speed, row.own)
    )
    digits = 2 if row.area and row.area.low is None else 1
    return (
        curve.label,
        curve.source if curve.source == MEASURED else f"published, {curve.source}",
        f"{len(curve.dots)}{dropped}",
        _shown(rate, 2),
        _shown(dot.accuracy, 2 if dot.accuracy.low is None else 1),
        _shown(speed, 0),
        f"{curve.start.value:.2f}",
        _shown(row.area, digits) if row.area else NONE,
        _shown(own, digits),
    )


def _figures(row: Scored) -> list[str]:
    curve, dot = row.curve, row.curve.operating()
    found: list[object] = [curve.label, curve.source, len(curve.dots), row.dropped, dot.answers]
    for interval in (dot.rate, dot.accuracy, dot.speed, row.area, row.own):
        found += [interval.value, interval.low, interval.high] if interval else [None] * 3
    found += [row.best, curve.printed, curve.start.value]
    found += ["yes" if curve.comparable else "no", curve.metric]
    return [_plain(value) for value in found]


def _plain(value: object) -> str:
    """Six digits behind the point: more would differ between machines' ways of summing."""
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def _shown(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return ""
    text = f"{interval.value:,.{digits}f}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({interval.low:,.{digits}f} to {interval.high:,.{digits}f})"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; figures to the right."""
    marks = ["---" if head in ("method", "source") else "---:" for head in heads]
    lines = [heads, marks, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
