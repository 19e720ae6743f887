"""Walks of a canvas without a model: random tokens at random eligible positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from unmask import catalogue
from unmask.canvas.canvas import Canvas
from unmask.decode.options import KINDS
from unmask.decode.plan import FRESH, CachePolicy, Plan
from unmask.decode.settings import Settings
from unmask.decode.window import Schedule, Window
from unmask.models.denoiser import ModelCard

MASK = 99


def build(kind: str, name: str, *, shift: int = 0, span: int | None = None, **given):
    """A part that is tried by itself, for a model of this ``shift`` and ``span``."""
    values = {"max_new_tokens": 24, "block_length": 4, "schedule": "blocks", "cache": "none"}
    chosen = Settings({**values, **given}, block=given.get("block_length", 4))
    card = ModelCard("m", "m", 10, MASK, (), 0, 64, logit_shift=shift, span=span)
    return catalogue.find(KINDS[kind], name, kind).build(chosen, card)


class Turn(NamedTuple):
    """One forward of a walk: the canvas before it, and the positions that it wrote."""

    canvas: Canvas
    window: Window
    plan: Plan | None
    written: np.ndarray


@st.composite
def canvases(draw, *, infill: bool = True) -> Canvas:
    """An empty canvas; some have given text between the gaps."""
    prompt = list(range(draw(st.integers(1, 9))))
    length = draw(st.integers(1, 24))
    fixed = st.dictionaries(st.integers(0, length - 1), st.integers(0, 9), max_size=length - 1)
    return Canvas.start(prompt, length, MASK, draw(fixed) if infill else None)


def walk(
    canvas: Canvas, schedule: Schedule, seed: int, cache: CachePolicy | None = None
) -> Iterator[Turn]:
    """Decode to the end, one or more of the asked (or eligible) positions a forward."""
    chance = np.random.default_rng(seed)
    memory = FRESH
    while not canvas.done:
        window, plan = schedule(canvas), None
        asked = window.eligible
        if cache is not None:
            plan, memory = cache.plan(canvas, window, memory)
            asked = plan.ask
        count = int(chance.integers(1, len(asked) + 1))
        written = np.sort(chance.choice(asked, count, replace=False))
        yield Turn(canvas, window, plan, written)
        canvas = canvas.commit(written, chance.integers(0, 9, count))
