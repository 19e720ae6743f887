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
    """Put padding behind the first end token.

    Without ``ahead`` it counts once no mask stands before it. That is exact for block-wise
    decoding: later blocks cannot change earlier text. A schedule that writes ``ahead`` meets end
    tokens behind masks; what stands behind such a one is dropped at once (d3LLM), and an end token
    further left moves the cut there. Canvases with fixed text behind the prompt are decoded to
    their end, for an end token in a gap ends nothing.
    """
    if canvas.has_fixed_text:
        return canvas
    stop = len(canvas) if ahead or canvas.done else canvas.open[0]
    written = canvas.tokens_L[canvas.prompt_length : stop]
    end = end_of(written, card.end_ids)
    return canvas.cut(canvas.prompt_length + end + 1, card.pad_id) if end < len(written) else canvas
