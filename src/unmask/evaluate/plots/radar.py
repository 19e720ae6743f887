"""Which method is good at which task: AUP of every task as a share of the best method's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from unmask.errors import InputError, counted
from unmask.evaluate.leaderboard import Table
from unmask.evaluate.plots.style import Look, Theme, applied, find, look

SIZE = (7.2, 4.8)
PLACE = (0.17, 0.15, 0.44, 0.66)
"""Left, bottom, width and height of the circle in the figure; the rest is for names."""
KEY = 0.985
"""Right end of the key in the figure."""
LEAST = 3
"""Tasks; fewer span no area."""
RINGS = (0.25, 0.5, 0.75, 1.0)


def draw(
    tables: Sequence[Table], title: str, theme: str = "light", order: Sequence[str] = ()
) -> Figure:
    """One spoke per table, one line per method that has an area in all of them.

    Every spoke ends at the best AUP of its task, which is written there: areas of different tasks
    have no common scale. ``order``: labels in the order of their colours.

    Raises:
        InputError: fewer than three tables, or no method has an area in all.
    """
    if len(tables) < LEAST:
        raise InputError(
            f"{title}: a radar needs at least {LEAST} tasks, not {counted(len(tables), 'task')}"
        )
    areas = [
        {row.curve.label: row.area.value for row in table.rows if row.area} for table in tables
    ]
    shared = [label for label in areas[0] if all(label in area for area in areas)]
    if not shared:
        raise InputError(
            f"{title}: no method has an AUP on all tasks; evaluate one on each of them, from one "
            "token per forward on"
        )
    best = [max(area.values()) for area in areas]
    shares = {label: _shares([area[label] for area in areas], best) for label in shared}
    style = find(theme)
    labels = list(dict.fromkeys([*order, *shared]))
    with applied(style):
        figure = Figure(SIZE)
        FigureCanvasAgg(figure)
        # By hand: automatic layouts look at the circle and forget the names around it.
        axes = figure.add_axes(PLACE, projection="polar")
        assert isinstance(axes, PolarAxes)
        _web(axes, [f"{t.task}\n{top:,.0f}" for t, top in zip(tables, best, strict=True)], style)
        for label in sorted(shared, key=lambda one: -sum(shares[one])):
            _loop(axes, label, shares[label], look(style, labels.index(label)))
        rows = [row for table in tables for row in table.rows if row.curve.label in shared]
        _write(figure, title, style, max(row.curve.start.value for row in rows))
    return figure


def _write(figure: Figure, title: str, style: Theme, start: float) -> None:
    """Key, title and what the numbers are."""
    figure.legend(
        loc="center right",
        bbox_to_anchor=(KEY, 0.5),
        fontsize=9,
        handlelength=2.6,
        labelspacing=0.8,
    )
    figure.suptitle(title, x=0.02, y=0.97, ha="left", fontsize=11.5, fontweight="bold")
    note = (
        "AUP as a share of the best one; its value stands at the spoke · "
        f"curves start at {start:.2f} tokens per forward or less"
    )
    figure.supxlabel(note, fontsize=8, color=style.muted, x=0.02, y=0.02, ha="left")


def _shares(values: Sequence[float], best: Sequence[float]) -> list[float]:
    return [value / top if top else 0.0 for value, top in zip(values, best, strict=True)]


def _web(axes: PolarAxes, names: Sequence[str], style: Theme) -> None:
    angles = _angles(len(names))
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([])
    axes.set_xticks(angles, [])
    axes.grid(visible=False)
    axes.spines["polar"].set_visible(False)
    for ring in RINGS:
        closed = [*angles, angles[0]]
        axes.plot(closed, [ring] * len(closed), color=style.grid, lw=1, zorder=1)
    for angle, name in zip(angles, names, strict=True):
        axes.plot([angle, angle], [0, 1], color=style.grid, lw=1, zorder=1)
        across = math.sin(angle)
        axes.annotate(
            name,
            (angle, 1.0),
            (9 * across, 9 * math.cos(angle)),
            textcoords="offset points",
            ha="center" if abs(across) < 0.1 else "left" if across > 0 else "right",
            va="center"
            if abs(math.cos(angle)) < 0.5
            else "bottom"
            if math.cos(angle) > 0
            else "top",
            fontsize=9.5,
            linespacing=1.2,
            annotation_clip=False,
        )


def _loop(axes: PolarAxes, label: str, shares: Sequence[float], own: Look) -> None:
    angles, values = [*_angles(len(shares)), 0.0], [*shares, shares[0]]
    axes.fill(angles, values, color=own.colour, alpha=0.03, zorder=2)
    axes.plot(
        angles,
        values,
        color=own.colour,
        ls=own.dash,
        marker=own.mark,
        ms=5.5,
        lw=1.8,
        label=label,
        zorder=3,
        clip_on=False,
    )


def _angles(count: int) -> list[float]:
    return [2 * math.pi * number / count for number in range(count)]
