"""One block with random masks: clean before it, masks behind it (dParallel, section 3.2)."""

from __future__ import annotations

import numpy as np

from unmask.distill.draws import Draw, Stage, State, behind, pick_window, split, tossed
from unmask.distill.texts import Bools, Text

FLOOR = 1e-3  # the reference raises every share a little


def make(compat: bool) -> State:
    """The state; with ``compat`` as the reference draws it, empty tail block included."""
    return reference if compat else block


def block(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """A window that has text (or filler), a coin for each of its positions."""
    start, stop = pick_window(text, stage, draw)
    active = behind(text, start) & ~behind(text, stop)
    return split(tossed(active, stage.ratio, draw), active, behind(text, stop))


def reference(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """dParallel's trainer: the number of the block may be one too large, the rest then counts."""
    blocks = (len(text) - text.prompt_length) // stage.width
    number = int(draw.integers(blocks + 1))
    noise = draw.random(len(text))
    return reference_at(text, stage, number, noise)


def reference_at(text: Text, stage: Stage, number: int, noise_L: np.ndarray) -> Draw:
    """The reference's masks for given draws."""
    blocks = (len(text) - text.prompt_length) // stage.width
    start = text.prompt_length + number * stage.width
    stop = len(text) if number == blocks else start + stage.width
    active: Bools = behind(text, start) & ~behind(text, stop)
    hidden = active & (noise_L < (1 - FLOOR) * stage.ratio + FLOOR)
    return split(hidden, active, behind(text, stop))
