"""A straightforward loop of the kind that published code uses: the yardstick of the benchmarks.

Every forward feeds the whole canvas, computes logits for all of its rows and takes their soft-max
in double precision; then the tokens of the block that pass the bar are written. Nothing is cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unmask.models.loading import Model


@dataclass(frozen=True)
class Answer:
    """Ids behind the prompt, and model calls."""

    token_ids: list[int]
    forwards: int


@torch.inference_mode()
def decode(
    model: Model, prompt: list[int], length: int, block: int, *, threshold: float | None
) -> Answer:
    """Blocks from left to right; without a threshold one token per forward."""
    card, device = model.card, model.denoiser.device
    ids = torch.tensor([prompt + [card.mask_id] * length], device=device)
    at = torch.arange(ids.shape[1], device=device)[None]
    forwards = 0
    for start in range(len(prompt), ids.shape[1], block):
        stop = min(start + block, ids.shape[1])
        while (ids[:, start:stop] == card.mask_id).any():
            logits = model.denoiser(ids, at)
            if card.logit_shift:
                logits = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)
            forwards += 1
            logits[..., card.mask_id] = -torch.inf
            token = logits.argmax(-1)
            confidence = torch.softmax(logits.double(), -1).gather(-1, token[..., None])[..., 0]
            confidence[ids != card.mask_id] = -torch.inf
            confidence[:, stop:] = -torch.inf
            accept = torch.zeros_like(ids, dtype=torch.bool)
            accept[0, confidence[0].argmax()] = True
            if threshold is not None:
                accept |= confidence >= threshold
            ids = torch.where(accept, token, ids)
    return Answer(ids[0, len(prompt) :].tolist(), forwards)
