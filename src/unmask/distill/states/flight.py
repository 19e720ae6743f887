"""Several blocks in flight, each less decoded than the one before it: what pipelined decoding
really visits. Ours: the references train on a single part-decoded window."""

from __future__ import annotations

import numpy as np

from unmask.distill.draws import Draw, Stage, State, behind, latest, pick_window, split
from unmask.distill.texts import Text


def make(compat: bool) -> State:
    """The state; no reference has it."""
    del compat
    return flight


def flight(text: Text, stage: Stage, draw: np.random.Generator) -> Draw:
    """One to ``depth`` blocks; the share that is masked rises from the drawn ratio towards one."""
    start, stop = pick_window(text, stage, draw)
    shares = [stage.ratio]
    hidden = latest(text, start, stop, stage.ratio)
    for _ in range(int(draw.integers(stage.depth))):
        if stop >= text.end:
            break
        shares.append(shares[-1] + (1 - shares[-1]) * float(draw.random()))
        more = min(stop + stage.width, len(text))
        hidden |= latest(text, stop, more, shares[-1])
        stop = more
    active = behind(text, start) & ~behind(text, stop)
    return split(hidden, active, behind(text, stop))
