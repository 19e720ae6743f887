"""A window as its teacher left it part-way: the tokens it decoded last are masked (d3LLM, 3.1)."""

from __future__ import annotations

import numpy as np

from unmask.distill.draws import Draw, Stage, State, behind, latest, pick_window, split
from unmask.distill.texts import Text

MISREAD = 10
"""The reference's orders were recorded without the ten tokens of a chat template and are read at
the positions of a text with them."""


def make(compat: bool) -> State:
    """The state; with ``compat`` as the reference reads its trajectories."""
    return reference if compat else window


def window(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """Masks where the teacher decoded last, of the order of the very same text."""
    start, stop = pick_window(text, stage, draw)
    active = behind(text, start) & ~behind(text, stop)
    return split(latest(text, start, stop, stage.ratio), active, behind(text, stop))


def reference(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """d3LLM's trainer: the order is read ten positions off, and windows need not meet blocks."""
    canvas = len(text) - text.prompt_length
    start, stop = reference_window(text, stage.width, int(draw.integers(canvas // stage.width + 1)))
    read = text.order_L.copy()
    read[MISREAD:] = text.order_L[:-MISREAD]
    return reference_at(text, read - 1, (start, stop), stage.ratio)  # its first step is number 0


def reference_window(text: Text, width: int, number: int) -> tuple[int, int]:
    """Start and stop; the last window takes all that is left."""
    start = text.prompt_length + number * width
    last = number == (len(text) - text.prompt_length) // width
    return start, len(text) if last else start + width


def reference_at(text: Text, step_L: np.ndarray, place: tuple[int, int], ratio: float) -> Draw:
    """The reference's masks: the state is chosen by number, one position per state."""
    start, stop = place
    state = (start - text.prompt_length) + int((1 - ratio) * (stop - start))
    active = behind(text, start) & ~behind(text, stop)
    return split(active & (step_L > state), active, behind(text, stop))
