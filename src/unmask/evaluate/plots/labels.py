"""Where a name can stand next to its point without covering anything."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

Across = Literal["left", "center", "right"]
Upright = Literal["bottom", "center", "top"]
DISTANCES = (9.0, 17.0, 28.0, 42.0)
"""Points between a point and its name; from the second on, a thin line leads there."""
ANGLES = (0, 90, 270, 30, 330, 60, 300, 180, 150, 210, 120, 240)
"""Directions in degrees, the best one first."""
LEAD: dict[str, Any] = {"arrowstyle": "-", "lw": 0.7, "alpha": 0.8, "shrinkA": 1, "shrinkB": 5}
CLEAR = 2.0  # pixels around a text
STEP = 4.0  # pixels between the samples of a line


@dataclass(frozen=True)
class Name:
    """A text at a point in data coordinates."""

    text: str
    at: tuple[float, float]
    colour: str


class Room:
    """What is free of ``lines`` (data coordinates) in axes that have got their final size."""

    def __init__(self, axes: Axes, lines: Sequence[Sequence[tuple[float, float]]]) -> None:
        self.axes = axes
        self.marks = np.concatenate([_samples(axes, line) for line in lines])
        self.taken: list[Bbox] = []

    def place(self, names: Sequence[Name]) -> bool:
        """Put every name beside its point, clear of everything.

        Leaves nothing behind and returns False if there is no room for all of them.
        """
        notes: list[Annotation] = []
        for name in sorted(names, key=lambda one: (-one.at[0], -one.at[1], one.text)):
            note = next((note for note in self._tries(name) if self.fits(note)), None)
            if note is None:
                for other in notes:
                    other.remove()
                self.taken.clear()
                return False
            notes.append(note)
        return True

    def fits(self, note: Annotation) -> bool:
        """Whether a text stands free; then its place is taken, else it is removed."""
        figure = self.axes.get_figure(root=True)
        assert figure is not None, "axes stand in a figure"
        canvas: Any = figure.canvas  # of the Agg kind, which measures texts
        note.update_positions(canvas.get_renderer())
        # Of the text alone: the annotation's own method takes the leading line in.
        box = Text.get_window_extent(note).padded(CLEAR)
        room = self.axes.get_window_extent()
        inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
        if inside and not box.count_contains(self.marks) and not box.count_overlaps(self.taken):
            self.taken.append(box)
            return True
        note.remove()
        return False

    def _tries(self, name: Name) -> Iterator[Annotation]:
        for distance, angle in itertools.product(DISTANCES, ANGLES):
            right = math.cos(math.radians(angle)) * distance
            up = math.sin(math.radians(angle)) * distance
            note = self.axes.annotate(
                name.text,
                name.at,
                (right, up),
                textcoords="offset points",
                ha=_across(angle),
                va=_upright(angle),
                color=name.colour,
                fontsize=9,
                linespacing=1.1,
                annotation_clip=False,
                arrowprops=LEAD | {"color": name.colour} if distance > DISTANCES[0] else None,
            )
            yield note


def _across(angle: int) -> Across:
    if angle in (90, 270):
        return "center"
    return "left" if angle < 90 or angle > 270 else "right"


def _upright(angle: int) -> Upright:
    if angle in (0, 180):
        return "center"
    return "bottom" if angle < 180 else "top"


def _samples(axes: Axes, line: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Points in pixels along a line, close enough that no text fits between two."""
    corners = axes.transData.transform(np.asarray(line, dtype=np.float64).reshape(-1, 2))
    parts = [corners[:1]]
    for start, stop in itertools.pairwise(corners):
        count = max(int(np.hypot(*(stop - start)) / STEP), 1)
        parts.append(np.linspace(start, stop, count + 1)[1:])
    return np.concatenate(parts)
