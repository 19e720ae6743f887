"""How all plots look: colours, marks, type, and files that come out the same every time.

Colours: Okabe and Ito, Color Universal Design (2008), without the yellow, which vanishes on white;
lifted for the dark theme. Marks and dashes differ as well, so that a grey print can be read.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from unmask.catalogue import unknown
from unmask.errors import InputError
from unmask.files import reason_of


@dataclass(frozen=True)
class Theme:
    """``colours``: of methods, in turn. ``shades``: the part of the colour map that stands out from
    the background, from and to."""

    background: str
    ink: str
    muted: str
    grid: str
    colours: tuple[str, ...]
    shades: tuple[float, float]


THEMES = {
    "light": Theme(
        "#ffffff",
        "#1f2328",
        "#59636e",
        "#e2e6ea",
        ("#0072b2", "#d55e00", "#009e73", "#a6498a", "#b57900", "#3a3f45", "#2e9bd6"),
        (0.0, 0.95),
    ),
    # The page colour of GitHub at night, where most dark pictures are going to stand.
    "dark": Theme(
        "#0d1117",
        "#e6edf3",
        "#9198a1",
        "#2a313a",
        ("#4aa8e8", "#ff8a4c", "#2fcf9f", "#e394c4", "#f0b840", "#d0d7de", "#9ad7ff"),
        (0.18, 1.0),
    ),
}
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
SUFFIXES = (".svg", ".png", ".pdf")
DPI = 200
NOTE = 110
"""Characters of small type that fit into a line."""
NAMELESS: dict[str, dict[str, None]] = {
    # No dates and no versions: the same figures have to give the same bytes.
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Look:
    """Of one method."""

    colour: str
    mark: str
    dash: Any


def look(theme: Theme, number: int) -> Look:
    """Of the method with that number; the first 56 all differ in colour or mark."""
    return Look(
        theme.colours[number % len(theme.colours)],
        MARKS[number % len(MARKS)],
        DASHES[number % len(DASHES)],
    )


def find(name: str) -> Theme:
    """The theme of that name.

    Raises:
        InputError: there is none.
    """
    if name not in THEMES:
        raise unknown("theme", name, list(THEMES))
    return THEMES[name]


@contextmanager
def applied(theme: Theme) -> Iterator[None]:
    """Figures made inside have the theme's colours and type."""
    settings: Any = {  # the names that its stubs allow change with matplotlib
        "font.family": "DejaVu Sans",  # comes with matplotlib: no surprise on another machine
        "font.size": 10,
        "text.parse_math": False,  # a dollar sign in a label is a dollar sign
        "axes.titlesize": 11.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.linewidth": 0.8,
        "grid.color": theme.grid,
        "figure.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        "hatch.color": theme.background,
    }
    with rc_context(settings):
        yield


def wrapped(note: str) -> str:
    """A note under a picture, in lines that fit the narrowest one."""
    return textwrap.fill(note, NOTE, break_long_words=False)


def save(figure: Figure, path: Path) -> None:
    """Write the figure; the suffix says how. The same figure gives the same bytes.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"out={str(path)!r} has no known format; end it in .svg, .png or .pdf")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "unmask", "svg.fonttype": "path"}):
            figure.savefig(path, dpi=DPI, metadata=NAMELESS[suffix])
    except OSError as error:
        raise InputError(f"out={str(path)!r} cannot be written: {reason_of(error)}") from None
