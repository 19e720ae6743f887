"""In which order are the positions of a text decoded? The teacher's, or a cheap substitute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from unmask.distill.loss import entropy
from unmask.distill.texts import Text
from unmask.models.blocks import Transformer

ROWS = 32


def ordered(texts: Sequence[Text], kind: str, teacher: Transformer) -> list[Text]:
    """The texts with the order of ``kind``: teacher (as harvested), left, or entropy."""
    if kind == "left":
        return [replace(text, order_L=np.arange(len(text))) for text in texts]
    if kind == "entropy":
        return [
            replace(text, order_L=rank)
            for start in range(0, len(texts), ROWS)
            for text, rank in _by_entropy(texts[start : start + ROWS], teacher)
        ]
    return list(texts)


@torch.inference_mode()
def _by_entropy(texts: Sequence[Text], teacher: Transformer) -> list[tuple[Text, np.ndarray]]:
    """One forward over an answer of masks: the surer the teacher is of a position, the earlier."""
    shift = teacher.card.logit_shift
    found = []
    for text in texts:
        ids = torch.from_numpy(text.ids_L).to(teacher.device)[None].clone()
        ids[:, text.prompt_length :] = teacher.card.mask_id
        at = torch.arange(len(text), device=ids.device)[None]
        ask = at[:, text.prompt_length :] - shift
        doubt = entropy(teacher(ids, at, ask_BA=ask)[0].float()).cpu().numpy()
        order = np.zeros(len(text), np.int64)
        order[text.prompt_length :] = 1 + np.argsort(np.argsort(doubt, kind="stable"))
        found.append((text, order))
    return found
