"""When is a text finished, and how many of its tokens count?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unmask.canvas.canvas import Canvas, Ids
from unmask.models.denoiser import ModelCard


def end_of(tokens: Ids | Sequence[int], end_ids: tuple[int, ...]) -> int:
    """Index of the first end token; the length if there is none."""
    hit = np.zeros(len(tokens), dtype=np.bool_)
    for end in end_ids:  # one or two; np.isin would sort
        hit |= np.asarray(tokens) == end
    return int(hit.argmax()) if hit.any() else len(tokens)


def stop_early(canvas: Canvas, card: ModelCard, *, ahead: bool) -> Canvas:
    """Put padding behind the first end token that follows all given text.

    (One before given text only says that a gap needed fewer tokens.) Without ``ahead`` it counts
    once no mask stands before it, and the masks behind it are closed. That is exact for block-wise
    decoding: later blocks cannot change earlier text. A schedule that writes ``ahead`` meets end
    tokens behind masks; whatever stands behind such a one gives way to padding at once (d3LLM), and
    an end token further left moves the cut there.
    """
    if canvas.done and not ahead:
        return canvas
    written = canvas.tokens_L[canvas.given : len(canvas) if ahead else canvas.open[0]]
    end = end_of(written, card.end_ids)
    if end == len(written):
        return canvas
    return canvas.close(canvas.given + end + 1, card.pad_id, written=ahead)
