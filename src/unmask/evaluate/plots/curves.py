"""How accuracy falls as tokens per forward rise: one line per method on one task."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from unmask.errors import InputError
from unmask.evaluate.aup import BAND, START
from unmask.evaluate.curve import Curve, Scored, measure
from unmask.evaluate.intervals import Interval
from unmask.evaluate.plots.labels import Name, Room
from unmask.evaluate.plots.style import Look, Theme, applied, find, look, wrapped

SIZE = (6.4, 4.2)
WIDE = 12.0
"""From this ratio of rates on, their axis is logarithmic."""
MOST = 8
"""Names beside their curves; more are easier to find in a key."""
KEY = 0.41  # inches of a name in the key
CLOSE = 1.0
"""Points of accuracy within which slowest settings are taken to share one band."""


def draw(
    rows: Sequence[Scored], title: str, theme: str = "light", order: Sequence[str] = ()
) -> Figure:
    """The curves of a table.

    Full marks: settings that count; the large one is the fastest of these. Hollow: out of the
    5-point band, joined by a faint line. ``order``: labels in the order of their colours, so that
    several plots agree.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError(f"{title}: there is no curve to draw; give records with tokens")
    style = find(theme)
    labels = list(dict.fromkeys([*order, *(row.curve.label for row in rows)]))
    looks = {row.curve.label: look(style, labels.index(row.curve.label)) for row in rows}
    curves = [row.curve for row in rows]
    with applied(style):
        figure = Figure(SIZE)
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        axes = figure.add_subplot(
            title=title, xlabel="tokens per forward", ylabel=measure(curves[0].metric)
        )
        for row in reversed(rows):
            _curve(axes, row.curve, looks[row.curve.label], style)
        _rates(axes, curves)
        floor = _floor(curves)
        _accuracies(axes, curves, floor)
        if floor is not None:
            axes.axhspan(floor, floor + BAND, color=style.grid, alpha=0.5, lw=0, zorder=0)
        if note := _note(curves, floor):
            figure.supxlabel(wrapped(note), fontsize=8, color=style.muted, x=0.01, ha="left")
        _name(figure, axes, rows, looks)
    return figure


def said(row: Scored, *, brief: bool = False) -> str:
    """An area, with its interval if it has one and not in ``brief``; in brackets, its start."""
    start, area = row.curve.start.value, row.area
    if area is None:
        return f"no AUP ({start:.2f})"
    if brief or area.low is None or area.high is None:
        return f"AUP {area.value:,.1f} ({start:.2f})"
    return f"AUP {area.value:,.0f} [{area.low:,.0f}, {area.high:,.0f}] ({start:.2f})"


def _curve(axes: Axes, curve: Curve, own: Look, style: Theme) -> None:
    spots = [(dot.rate.value, dot.accuracy.value) for dot in curve.dots]
    kept = [spot for spot, counts in zip(spots, curve.kept(), strict=True) if counts]
    if len(kept) < len(spots):
        axes.plot(*zip(*spots, strict=True), color=own.colour, lw=1, ls=":", alpha=0.6, zorder=2)
    axes.plot(*zip(*kept, strict=True), color=own.colour, lw=2, ls=own.dash, zorder=3)
    for dot, counts in zip(curve.dots, curve.kept(), strict=True):
        last = dot is curve.operating()
        _error(axes, dot.rate.value, dot.accuracy, own.colour)
        axes.plot(
            [dot.rate.value],
            [dot.accuracy.value],
            ls="",
            marker=own.mark,
            ms=9 if last else 5.5,
            mfc=own.colour if counts else style.background,
            mec=style.background if counts else own.colour,
            mew=0.8 if counts else 1.2,
            zorder=5 if last else 4,
        )


def _error(axes: Axes, at: float, interval: Interval, colour: str) -> None:
    if interval.low is None or interval.high is None:
        return
    axes.plot([at, at], [interval.low, interval.high], color=colour, lw=1.1, alpha=0.55, zorder=2.5)


def _floor(curves: Sequence[Curve]) -> float | None:
    """Lower end of the band that counts, where all methods begin at about the same accuracy.

    Elsewhere hollow marks must do: as many bands as methods would cover each other.
    """
    tops = [curve.dots[0].accuracy.value for curve in curves if len(curve.dots) > 1]
    return max(tops) - BAND if tops and max(tops) - min(tops) <= CLOSE else None


def _note(curves: Sequence[Curve], floor: float | None) -> str:
    """What marks mean, as far as there are any."""
    late = not all(curve.comparable for curve in curves)
    bar = f", above {START:g} no AUP" if late else ""
    parts = [f"in brackets: tokens per forward where the curve starts{bar}"]
    if floor is not None:
        parts.append(f"shaded: {BAND:g} points below the best start")
    if not all(all(curve.kept()) for curve in curves):
        parts.append(f"hollow: more than {BAND:g} points below its start, not in AUP")
    if any(dot.accuracy.low is not None for curve in curves for dot in curve.dots):
        parts.append("bars: 95 %")
    return " · ".join(parts)


def _rates(axes: Axes, curves: Sequence[Curve]) -> None:
    rates = [dot.rate.value for curve in curves for dot in curve.dots]
    low, high = min(rates), max(rates)
    if high / low > WIDE:
        axes.set_xscale("log", base=2)
        ticks = [2.0**n for n in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(low / 1.15, high * 1.3)
    else:
        axes.set_xlim(max(0.0, low - 0.08 * (high - low) - 0.1), high + 0.16 * (high - low) + 0.1)


def _accuracies(axes: Axes, curves: Sequence[Curve], floor: float | None) -> None:
    ends = [] if floor is None else [floor]
    ends += [
        end
        for curve in curves
        for dot in curve.dots
        for end in (dot.accuracy.value, dot.accuracy.low, dot.accuracy.high)
        if end is not None
    ]
    margin = max(0.08 * (max(ends) - min(ends)), 0.5)
    axes.set_ylim(max(min(ends) - margin, -1.5), min(max(ends) + margin, 101.5))


def _name(figure: Figure, axes: Axes, rows: Sequence[Scored], looks: dict[str, Look]) -> None:
    """Names beside the curves where there is room for all, else a key on the right."""
    figure.draw_without_rendering()  # the layout has to stand before texts can be measured
    names = [
        Name(
            f"{row.curve.label}\n{said(row, brief=True)}",
            (row.curve.operating().rate.value, row.curve.operating().accuracy.value),
            looks[row.curve.label].colour,
        )
        for row in rows
    ]
    lines = [[(dot.rate.value, dot.accuracy.value) for dot in row.curve.dots] for row in rows]
    if len(rows) <= MOST and Room(axes, [*lines, *_bars(rows)]).place(names):
        figure.set_layout_engine("none")  # or texts measured for this layout would move
        return
    handles = [
        Line2D(
            [],
            [],
            color=looks[row.curve.label].colour,
            marker=looks[row.curve.label].mark,
            ls=looks[row.curve.label].dash if len(row.curve.dots) > 1 else "",
            lw=2,
            ms=6.5,
            label=f"{row.curve.label}\n{said(row)}",
        )
        for row in rows
    ]
    figure.set_size_inches(SIZE[0] + 1.6, max(SIZE[1], KEY * len(rows) + 0.3))
    figure.legend(
        handles=handles, loc="outside right upper", fontsize=9, handlelength=2.6, labelspacing=0.8
    )


def _bars(rows: Sequence[Scored]) -> list[list[tuple[float, float]]]:
    """The intervals, as lines that names have to keep clear of."""
    return [
        [(dot.rate.value, dot.accuracy.low), (dot.rate.value, dot.accuracy.high)]
        for row in rows
        for dot in row.curve.dots
        if dot.accuracy.low is not None and dot.accuracy.high is not None
    ]
