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


def stop_early(canvas: Canvas, card: ModelCard) -> Canvas:
    """Close the canvas with padding once an end token stands before the first mask.

    Exact for block-wise decoding: later blocks cannot change earlier text. Canvases with fixed text
    behind the prompt are decoded to their end, for an end token in a gap ends nothing.
    """
    if canvas.done or canvas.has_fixed_text:
        return canvas
    written = canvas.tokens_L[canvas.prompt_length : canvas.open[0]]
    if end_of(written, card.end_ids) < len(written):
        return canvas.fill(card.pad_id)
    return canvas
