"""A row before a forward, so that a forward that failed can be tried again."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from unmask.canvas.canvas import Canvas
from unmask.decode.plan import Memory
from unmask.decode.step import Row


class Saved(NamedTuple):
    """All of a row that a forward changes. What it wrote into the store is written again."""

    canvas: Canvas
    memory: Memory
    forwards: int
    noise: Tensor | None


def saved(row: Row) -> Saved:
    """The state of ``row``; values and a few bytes, no copy of the canvas."""
    noise = row.generator.get_state() if row.generator else None
    return Saved(row.canvas, row.memory, len(row.fed), noise)


def restored(row: Row, before: Saved) -> None:
    """Put ``row`` back."""
    row.canvas, row.memory = before.canvas, before.memory
    del row.fed[before.forwards :]
    if row.generator is not None and before.noise is not None:
        row.generator.set_state(before.noise)
