"""In which order answers were written: a strip of positions per decoder, coloured by forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from unmask.canvas.trajectory import Trajectory
from unmask.errors import InputError, counted
from unmask.evaluate.plots.style import Theme, applied, find

WIDTH = 7.2  # inches
STRIP = 0.5  # inches from strip to strip
EDGE = 1.35  # inches of title, axis and colour bar
THICK = 0.74
"""Share of a strip's room that it fills."""
LONG = 16
"""From this many forwards on, colours follow the logarithm: a decoder of 8 forwards and one of 96
can then both be read from one scale."""
FAINT = 0.25
"""How much colour is left behind the end of the text."""


@dataclass(frozen=True)
class Strip:
    """An answer. ``born_L``: the forward that wrote each of its positions. ``end``: positions up to
    and including the first end token. ``forwards``: of the whole answer."""

    label: str
    born_L: NDArray[np.int32]
    end: int
    forwards: int


def strip(trajectory: Trajectory, label: str = "") -> Strip:
    """The answer of a trajectory, without its prompt.

    A trajectory does not say which token ends a text: a run of one token up to the end of the
    canvas is taken for end and padding.
    """
    tokens = trajectory.tokens_L[trajectory.prompt_length :]
    other = np.flatnonzero(tokens != tokens[-1]) if len(tokens) else np.array([], dtype=np.intp)
    end = min(int(other[-1]) + 2 if len(other) else 1, len(tokens))
    born = trajectory.born_L[trajectory.prompt_length :]
    return Strip(label or f"{trajectory.model}\n{trajectory.policy}", born, end, trajectory.steps)


def draw(
    strips: Sequence[Strip], title: str, theme: str = "light", block_length: int | None = None
) -> Figure:
    """The strips below each other, on one scale of positions and forwards.

    Behind the end of a text colours are faint. ``block_length``: where to mark borders.

    Raises:
        InputError: no strip, or one without positions.
    """
    if not strips or not all(len(one.born_L) for one in strips):
        raise InputError(f"{title}: there is no answer to draw; give trajectories with answers")
    style = find(theme)
    longest = max(len(one.born_L) for one in strips)
    last = max(one.forwards for one in strips)
    scale: Normalize = LogNorm(1, last) if last > LONG else Normalize(1, max(last, 2))
    shades = _shades(style)
    with applied(style):
        figure = Figure((WIDTH, STRIP * len(strips) + EDGE))
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
        axes = figure.add_subplot(title=title, xlabel="position in the answer")
        for row, one in enumerate(strips):
            _strip(axes, row, one, shades(scale(one.born_L)), style)
        _frame(axes, strips, longest, block_length, style)
        bar = figure.colorbar(
            ScalarMappable(scale, shades), ax=axes, location="bottom", aspect=45, pad=0.04
        )
        bar.outline.set_visible(False)
        bar.set_label("written by forward (faint: behind the end of the text)", fontsize=9)
        bar.ax.xaxis.set_major_locator(FixedLocator(_ticks(last)))
        bar.ax.xaxis.set_minor_locator(NullLocator())
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def _strip(axes: Axes, row: int, one: Strip, colours: NDArray[np.float64], style: Theme) -> None:
    low, high = row - THICK / 2, row + THICK / 2
    count = len(one.born_L)
    axes.barh(
        np.full(count, row),
        np.ones(count),
        height=THICK,
        left=np.arange(count),
        color=[*colours[: one.end], *(_faint(colour, style) for colour in colours[one.end :])],
        linewidth=0,
        antialiased=False,
    )
    if one.end < count:
        axes.plot([one.end, one.end], [low, high], color=style.ink, lw=1.4, zorder=4)
    rate = one.end / one.forwards if one.forwards else 0
    axes.annotate(
        f"{counted(one.forwards, 'forward')}\n{rate:.1f} tokens each",
        (1, row),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        linespacing=1.15,
        annotation_clip=False,
    )


def _frame(
    axes: Axes, strips: Sequence[Strip], longest: int, block_length: int | None, style: Theme
) -> None:
    """Names, ends of the axes, borders of blocks."""
    axes.set_xlim(0, longest)
    axes.set_ylim(len(strips) - 0.5, -0.5)
    axes.set_yticks(range(len(strips)), [one.label for one in strips])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    if block_length is None:
        return
    borders = range(0, longest + 1, block_length)
    every = max(1, -(-len(borders) // 13))  # more numbers would run into each other
    axes.set_xticks(borders[::every])
    for border in borders[1:]:
        if border < longest:
            axes.axvline(border, color=style.background, lw=2.2, zorder=3)


def _shades(style: Theme) -> Colormap:
    """Viridis, without its end that would vanish in the background."""
    start, stop = style.shades
    return ListedColormap(colormaps["viridis"](np.linspace(start, stop, 256)))


def _faint(colour: NDArray[np.float64], style: Theme) -> NDArray[np.float64]:
    """A colour that fades into the background."""
    return FAINT * colour + (1 - FAINT) * np.array(to_rgba(style.background))


def _ticks(last: int) -> list[float]:
    """Round forwards up to the last one, and the last one itself."""
    if last > LONG:
        powers = [2.0**n for n in range(last.bit_length()) if 2**n < last * 0.75]
        return [*powers, float(last)]
    return [float(n) for n in range(1, last + 1)]
