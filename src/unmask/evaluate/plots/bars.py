"""How large one figure is for every method: a bar each, one panel per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unmask.catalogue import unknown
from unmask.errors import InputError, counted
from unmask.evaluate.aup import START
from unmask.evaluate.curve import ACCURACY, Scored, measure
from unmask.evaluate.intervals import Interval
from unmask.evaluate.leaderboard import Average, Table
from unmask.evaluate.plots.style import Theme, applied, find, look, wrapped

WIDTH = 6.4  # inches
BAR = 0.3  # inches from bar to bar
EDGE = 0.5  # inches of a panel besides its bars
ROOM = 1.15
"""Width by that of the longest bar, so that its number fits in."""
LETTER = 0.02
"""The same for every letter of a remark."""
LINE = 0.18  # inches of a line of the note
FIGURES = {
    "aup": "AUP",
    "own-aup": "AUP, own best",
    "tokens-per-forward": "tokens per forward",
    "tokens-per-second": "tokens/s",
    "accuracy": "accuracy (%)",
}
"""What can be drawn, and how it is called; all but the areas are of the operating point."""
AREAS = ("aup", "own-aup")


@dataclass(frozen=True)
class Bar:
    """A method's figure. ``remark``: what stands in brackets behind it."""

    label: str
    figure: Interval
    remark: str = ""


@dataclass(frozen=True)
class Panel:
    """Bars that are compared. ``late``: who has no area, for its curve starts too late.
    ``metric``: what an accuracy is."""

    title: str
    bars: tuple[Bar, ...]
    late: tuple[str, ...] = ()
    metric: str = ACCURACY


def panels(tables: Sequence[Table], figure: str) -> list[Panel]:
    """A panel for every table in which somebody has that figure, the largest bar first.

    Raises:
        InputError: there is no such figure.
    """
    if figure not in FIGURES:
        raise unknown("figure", figure, list(FIGURES))
    found = []
    for table in tables:
        bars, late = [], []
        for row in table.rows:
            label, start = row.curve.label, row.curve.start.value
            value = _value(row, figure)
            if value is not None:
                bars.append(Bar(label, value, f"{start:.2f}" if figure in AREAS else ""))
            elif figure in AREAS:
                late.append(f"{label} at {start:.2f}")
        if bars:
            found.append(Panel(table.title, _sorted(bars), tuple(late), table.metric))
    return found


def means(averages: Sequence[Average]) -> list[Panel]:
    """Mean areas, a panel per company."""
    found = []
    for company in dict.fromkeys(one.company for one in averages):
        own = [one for one in averages if one.company == company]
        bars = tuple(Bar(one.label, Interval(one.area), _remark(one)) for one in own)
        found.append(Panel(f"mean over {counted(own[0].of, 'task')}, {company}", bars))
    return found


def _remark(one: Average) -> str:
    some = f", {one.tasks} of {counted(one.of, 'task')}" if one.tasks < one.of else ""
    return f"{one.start:.2f}{some}"


def draw(
    found: Sequence[Panel], figure: str, theme: str = "light", order: Sequence[str] = ()
) -> Figure:
    """The panels below each other, on one scale. ``figure``: what the bars are, as in `FIGURES`.

    Raises:
        InputError: no panels.
    """
    if not found:
        late = f" from {START:g} tokens per forward or less on" if figure in AREAS else ""
        raise InputError(f"nobody has {FIGURES[figure]}{late} here; give records that do")
    note = wrapped(_note(found)) if figure in AREAS else ""
    style = find(theme)
    labels = list(dict.fromkeys([*order, *(bar.label for panel in found for bar in panel.bars)]))
    heights = [BAR * len(panel.bars) + EDGE for panel in found]
    with applied(style):
        drawn = Figure((WIDTH, sum(heights) + 0.45 + LINE * len(note.splitlines())))
        FigureCanvasAgg(drawn)
        drawn.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        rows = drawn.subplots(
            len(found), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        bars = [bar.figure for panel in found for bar in panel.bars]
        longest = max(max(bar.value, bar.high or 0) for bar in bars)
        room = ROOM + LETTER * max(len(bar.remark) for panel in found for bar in panel.bars)
        rows[0, 0].set_xlim(0, room * longest or 1)  # all may be 0: nobody was right
        for panel, axes in zip(found, rows[:, 0], strict=True):
            _panel(axes, panel, labels, style)
        rows[-1, 0].set_xlabel(_called(found, figure))
        if note:
            drawn.supxlabel(note, fontsize=8, color=style.muted, x=0.01, ha="left")
    return drawn


def _called(found: Sequence[Panel], figure: str) -> str:
    """What the bars are; accuracy by the name of what it is."""
    metrics = {panel.metric for panel in found}
    if figure != ACCURACY or metrics == {ACCURACY}:
        return FIGURES[figure]
    return measure(*metrics) if len(metrics) == 1 else "score of the task, in hundredths"


def _note(found: Sequence[Panel]) -> str:
    note = "in brackets: tokens per forward where the curve starts"
    late = list(dict.fromkeys(one for panel in found for one in panel.late))
    return note + (f" · no AUP above {START:g}: {', '.join(late)}" if late else "")


def _panel(axes: Axes, panel: Panel, labels: Sequence[str], style: Theme) -> None:
    axes.set_title(panel.title)
    for row, bar in enumerate(panel.bars):
        colour = look(style, labels.index(bar.label)).colour
        value, low, high = bar.figure.value, bar.figure.low, bar.figure.high
        axes.barh(row, value, height=0.62, color=colour)
        end = value
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], color=style.ink, lw=1.3, marker="|", ms=6)
            end = max(value, high)
        axes.annotate(
            _said(bar),
            (end, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(panel.bars)), [bar.label for bar in panel.bars])
    axes.set_ylim(len(panel.bars) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _said(bar: Bar) -> str:
    value = bar.figure.value
    shown = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
    return f"{shown} ({bar.remark})" if bar.remark else shown


def _value(row: Scored, figure: str) -> Interval | None:
    dot = row.curve.operating()
    return {
        "aup": row.area,
        "own-aup": row.own,
        "tokens-per-forward": dot.rate,
        "tokens-per-second": dot.speed,
        "accuracy": dot.accuracy,
    }[figure]


def _sorted(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: (-bar.figure.value, bar.label)))
