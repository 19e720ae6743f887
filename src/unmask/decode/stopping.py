"""When is a text finished, and how many of its tokens count?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unmask.canvas.canvas import Canvas, Ids
from unmask.models.denoiser import ModelCard


def end_of(tokens: Ids | Sequence[int], end_ids: tuple[int, ...]) -> int:
    """Index of the first end token; the length if there is none."""
    head = np.asarray(tokens)
    for end in end_ids:  # one or two; np.isin would sort
        hits = np.flatnonzero(head == end)
        if len(hits):
            head = head[: hits[0]]
    return len(head)


def stop_early(canvas: Canvas, card: ModelCard, fresh: Ids, *, ahead: bool) -> Canvas:
    """Put padding behind the first end token that follows all given text; to be asked after every
    forward, with the tokens that it wrote.

    (One before given text only says that a gap needed fewer tokens.) Without ``ahead`` it counts
    once no mask stands before it, and the masks behind it are closed. That is exact for block-wise
    decoding: later blocks cannot change earlier text. A schedule that writes ``ahead`` meets end
    tokens behind masks; whatever stands behind such a one gives way to padding at once (d3LLM), and
    an end token further left moves the cut there.
    """
    unchanged = not any((fresh == end).any() for end in card.end_ids) if ahead else canvas.done
    if unchanged:
        return canvas
    written = canvas.tokens_L[canvas.given : len(canvas) if ahead else canvas.open[0]]
    end = end_of(written, card.end_ids)
    if end == len(written):
        return canvas
    return canvas.close(canvas.given + end + 1, card.pad_id, written=ahead)
