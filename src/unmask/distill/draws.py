"""What a noised text is, and what every file in `unmask.distill.states` does.

Shape legend: L positions of prompt and canvas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unmask.distill.texts import Bools, Text


@dataclass(frozen=True)
class Stage:
    """Where the curriculum stands for one text. ``ratio``: share to mask, (0, 1]; ``width``:
    positions of a window; ``depth``: most windows in flight; ``filler``: share of draws that ask
    for padding."""

    ratio: float
    width: int
    depth: int = 1
    filler: float = 0.1


@dataclass(frozen=True, eq=False)
class Draw:
    """Bool [L] each, disjoint. ``hidden``: masked and asked for; ``rest``: asked for in the
    complement, where ``hidden`` stands clean; ``blank``: masked in both, asked for in none."""

    hidden_L: Bools
    rest_L: Bools
    blank_L: Bools


class State(Protocol):
    """Text, stage, randomness -> a draw, whose ``hidden`` is never empty. Must not depend on
    anything else, so that a resumed run draws the same."""

    def __call__(self, text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
        """One state of the text."""
        ...


def pick_window(text: Text, stage: Stage, draw: np.random.Generator) -> tuple[int, int]:
    """Start and stop of a window of the canvas: one that has text, or a share of fillers.

    Without the distinction half of all draws ask for nothing but padding (dParallel on GSM8K).
    """
    content = -(-(text.end - text.prompt_length) // stage.width)
    windows = -(-(len(text) - text.prompt_length) // stage.width)
    filler = windows > content and draw.random() < stage.filler
    number = int(draw.integers(content, windows) if filler else draw.integers(content))
    start = text.prompt_length + number * stage.width
    return start, min(start + stage.width, len(text))


def behind(text: Text, stop: int) -> Bools:
    """Everything from ``stop`` on."""
    return np.arange(len(text)) >= stop


def latest(text: Text, start: int, stop: int, ratio: float) -> Bools:
    """The share of [start, stop) that was decoded last, at least one position.

    By rank inside the window, so that exactly this share is masked wherever the teacher's own
    blocks lie; of positions that were decoded together, the right ones count as later.
    """
    count = max(1, round(ratio * (stop - start)))
    ranks = np.argsort(text.order_L[start:stop], kind="stable")
    hidden = np.zeros(len(text), bool)
    hidden[start + ranks[len(ranks) - count :]] = True
    return hidden


def split(hidden_L: Bools, active_L: Bools, blank_L: Bools) -> Draw:
    """The draw that hides ``hidden`` of ``active``."""
    return Draw(hidden_L, active_L & ~hidden_L, blank_L)


def tossed(active_L: Bools, ratio: float, draw: np.random.Generator) -> Bools:
    """A coin for every active position, at least one of them hidden."""
    hidden = active_L & (draw.random(len(active_L)) < ratio)
    if not hidden.any():
        hidden[draw.choice(np.flatnonzero(active_L))] = True
    return hidden
