"""A window as its teacher left it part-way: the tokens it decoded last are masked (d3LLM, 3.1)."""

from __future__ import annotations

import numpy as np

from unmask.distill.draws import Draw, Stage, State, behind, latest, pick_window, split
from unmask.distill.texts import Text

MISREAD = 10
"""The reference's orders were recorded without the ten tokens of a chat template and are read at
the positions of a text with them: position p finds the order of the teacher's p + 10."""


def make(compat: bool) -> State:
    """The state; with ``compat`` as the reference reads its trajectories."""
    return reference if compat else window


def window(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """Masks where the teacher decoded last, of the order of the very same text."""
    start, stop = pick_window(text, stage, draw)
    active = behind(text, start) & ~behind(text, stop)
    return split(latest(text, start, stop, stage.ratio), active, behind(text, stop))


def reference(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """d3LLM's LLaDA trainer: the order is read ten positions ahead, and windows need not meet
    blocks."""
    windows = (text.end - text.prompt_length) // stage.width
    place = reference_window(text, stage.width, int(draw.integers(windows + 1)))
    never = np.iinfo(np.int64).max
    read = np.append(text.order_L[MISREAD:], np.full(MISREAD, never))[: len(text)]
    return reference_at(text, read - 1, place, stage.ratio)  # its first step is number 0


def reference_window(text: Text, width: int, number: int) -> tuple[int, int]:
    """Start and stop; the last window of the text takes all that is left, padding included."""
    start = text.prompt_length + number * width
    last = number == (text.end - text.prompt_length) // width
    return start, len(text) if last else start + width


def reference_at(text: Text, step_L: np.ndarray, place: tuple[int, int], ratio: float) -> Draw:
    """The reference's masks: the state is chosen by number, one position per state."""
    start, stop = place
    state = (start - text.prompt_length) + int((1 - ratio) * (stop - start))
    active = behind(text, start) & ~behind(text, stop)
    return split(active & (step_L > state), active, behind(text, stop))
