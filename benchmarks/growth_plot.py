"""Records of growth.py -> what a token costs against context, answer and batch.

    python benchmarks/growth_plot.py docs/results/growth.jsonl docs/results

A picture an axis, light and dark. Where the cheapest autoregressive decoder gets cheaper than the
distilled student, or the other way round, a line stands.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from growth import ORDER, REPLAYED, TWIN, Records, read
from unmask.evaluate.plots.style import Look, Theme, applied, find, look, save

AR, STUDENT = ("AR with KV cache", TWIN), "d3llm, distilled"
AXES = {
    "context": "prompt tokens",
    "new": "new tokens",
    "batch": "rows decoded together",
}
TITLES = {
    "context": "Cost of a token against the prompt",
    "new": "Cost of a token against the answer",
    "batch": "Cost of a token under load",
}
SIZE = (8.2, 4.4)
Spots = list[tuple[float, float]]


@dataclass(frozen=True)
class Crossing:
    """At ``at``, autoregressive decoding gets cheaper (``ar``), or the student does."""

    at: float
    ar: bool


def lines(records: Records, axis: str) -> dict[str, Spots]:
    """(size, ms per token) of every contender along an axis; elsewhere the smallest sizes."""
    every = [point for _, point in records]
    base = {name: min(getattr(point, name) for point in every) for name in AXES if name != axis}
    found: dict[str, Spots] = {}
    for (name, point), record in records.items():
        if all(getattr(point, other) == size for other, size in base.items()):
            found.setdefault(name, []).append((getattr(point, axis), record["ms_per_token"]))
    return {name: sorted(spots) for name, spots in found.items()}


def crossings(drawn: dict[str, Spots]) -> list[Crossing]:
    """Where the student's line meets the cheapest autoregressive one, on logarithmic axes."""
    sizes = [size for size, _ in drawn[STUDENT]]
    cheapest = [min(dict(drawn[name])[size] for name in AR) for size in sizes]
    lead = [math.log(cost / own) for (_, own), cost in zip(drawn[STUDENT], cheapest, strict=True)]
    found = []
    for n in range(len(sizes) - 1):
        if lead[n] * lead[n + 1] < 0:
            share = lead[n] / (lead[n] - lead[n + 1])
            at = sizes[n] * (sizes[n + 1] / sizes[n]) ** share
            found.append(Crossing(at, lead[n] > 0))
    return found


def said(found: list[Crossing], drawn: dict[str, Spots]) -> str:
    """The crossings in a sentence."""
    if found:
        return ""
    size, own = drawn[STUDENT][-1]
    ahead = own < min(dict(drawn[name])[size] for name in AR)
    winner = f"{STUDENT} stays cheaper than AR" if ahead else f"AR stays cheaper than {STUDENT}"
    return f"no crossover: {winner} up to {size:,}"


def draw(records: Records, axis: str, theme: str) -> Figure:
    """One picture."""
    style, drawn = find(theme), lines(records, axis)
    looks = {name: look(style, number) for number, name in enumerate(ORDER)}
    with applied(style):
        figure = Figure(SIZE)
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        axes = figure.add_subplot(
            title=TITLES[axis], xlabel=AXES[axis], ylabel="ms per token (lower is better)"
        )
        for name in ORDER:
            own = looks[name]
            axes.plot(*zip(*drawn[name], strict=True), color=own.colour, marker=own.mark,
                      ls=own.dash, lw=2, ms=6, zorder=3)  # fmt: skip
        found = crossings(drawn)
        _scales(axes, drawn)
        _mark(axes, found, style)
        figure.supxlabel(
            _note(records, axis, said(found, drawn)), fontsize=8, color=style.muted, x=0.01,
            ha="left",
        )  # fmt: skip
        _key(figure, looks)
    return figure


def _scales(axes: Axes, drawn: dict[str, Spots]) -> None:
    sizes = [size for size, _ in drawn[STUDENT]]
    costs = [cost for spots in drawn.values() for _, cost in spots]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.12, sizes[-1] * 1.12)
    axes.set_ylim(min(costs) / 1.6, max(costs) * 1.9)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _mark(axes: Axes, found: Sequence[Crossing], style: Theme) -> None:
    """Every crossing, each said below the one before, to the left of its line."""
    for number, one in enumerate(found):
        axes.axvline(one.at, color=style.ink, lw=1.1, ls=(0, (2, 2)), zorder=2)
        winner = "AR" if one.ar else STUDENT
        axes.annotate(f"from about {one.at:,.0f} on\n{winner} is cheaper",
                      (one.at, 0.985 - 0.27 * number), (-4, 0), va="top", ha="right",
                      xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize=8.5, color=style.ink)  # fmt: skip


def _note(records: Records, axis: str, extra: str) -> str:
    """What was held, what was replayed."""
    every = [point for _, point in records]
    context, new = (min(getattr(point, name) for point in every) for name in ("context", "new"))
    held = {"context": f"{context} prompt tokens", "new": f"{new} new tokens", "batch": "one row"}
    fixed = ", ".join(words for name, words in held.items() if name != axis)
    replayed = ", ".join(f"{name.split(',')[0]} {count}" for name, count in REPLAYED.items())
    first = f"{fixed} · tokens a forward, replayed: {replayed}"
    return f"{first}\n{extra}" if extra else first


def _key(figure: Figure, looks: dict[str, Look]) -> None:
    handles = [
        Line2D([], [], color=own.colour, marker=own.mark, ls=own.dash, lw=2, ms=6, label=name)
        for name, own in looks.items()
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=9, handlelength=2.6)


def main() -> None:
    """Three pictures, light and dark."""
    records, folder = read(Path(sys.argv[1])), Path(sys.argv[2])
    for axis in AXES:
        for theme, suffix in (("light", ""), ("dark", "-dark")):
            save(draw(records, axis, theme), folder / f"growth-{axis}{suffix}.svg")


if __name__ == "__main__":
    main()
