"""Random masks all over the answer (LLaDA and Dream pre-training; dParallel for Dream)."""

from __future__ import annotations

import numpy as np

from unmask.distill.draws import Draw, Stage, State, behind, tossed
from unmask.distill.texts import Text


def make(compat: bool) -> State:
    """The state. The reference differs by one thousandth of the share only."""
    del compat
    return response


def response(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """A coin for every position; padding is asked for in a share of the draws only."""
    canvas = behind(text, text.prompt_length)
    asked = canvas if draw.random() < stage.filler else canvas & ~behind(text, text.end)
    hidden = tossed(asked, stage.ratio, draw)
    blank = canvas & ~asked & (draw.random(len(text)) < stage.ratio)
    return Draw(hidden, asked & ~hidden, blank)
