"""What does a model say about the tokens that stand at given places of given texts?

Shape legend: B rows, Q fed positions, A asked positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unmask.errors import DecodeError
from unmask.models.loading import Model

LARGEST = 2**29
"""Logits in one forward (rows * asked * vocabulary): 2 GB in fp32. One row is always allowed."""


class Row(NamedTuple):
    """A text as it is fed, the places asked about, and what belongs there."""

    fed: list[int]
    ask: list[int]
    answer: list[int]


class Score(NamedTuple):
    """Of every place asked about: log p of the answer and of the best token, whether they are one.

    In nats. A masked model's mask token is forbidden, and the others share its probability.
    """

    answer: NDArray[np.float64]
    best: NDArray[np.float64]
    hit: NDArray[np.bool_]


def scores(model: Model, rows: Iterable[Row], batch_size: int) -> Iterator[Score]:
    """One score per row, in their order; ``batch_size`` rows at most share a forward.

    Raises:
        DecodeError: the model returned NaN.
    """
    for batch in _batches(rows, batch_size, model.card.vocabulary):
        host = _forward(model, batch).cpu().numpy()
        for row, part in zip(batch, host.swapaxes(0, 1), strict=True):
            answer, best, hit = part[:, : len(row.ask)].astype(np.float64)
            if np.isnan(answer).any():
                raise DecodeError(
                    f"model {model.card.name!r} returned NaN logits; its weights are damaged or "
                    "overflow in this dtype, try dtype='float32'"
                )
            yield Score(answer, best, hit > 0)


def _batches(rows: Iterable[Row], batch_size: int, vocabulary: int) -> Iterator[list[Row]]:
    """As many rows as may share a forward."""
    batch: list[Row] = []
    widest = 0
    for row in rows:
        wider = max(widest, len(row.ask))
        full = len(batch) == batch_size or (len(batch) + 1) * wider * vocabulary > LARGEST
        if batch and full:
            yield batch
            batch, wider = [], len(row.ask)
        batch.append(row)
        widest = wider
    if batch:
        yield batch


@torch.inference_mode()
def _forward(model: Model, batch: Sequence[Row]) -> Tensor:
    """[3, B, A]: log p of the answer, log p of the best token, and 1 where these are one."""
    card, device = model.card, model.denoiser.device
    width, asked = max(len(row.fed) for row in batch), max(len(row.ask) for row in batch)
    ids_BQ = np.full((len(batch), width), card.pad_id)
    keep_BQ = np.zeros((len(batch), width), dtype=np.bool_)
    ask_BA = np.zeros((len(batch), asked), dtype=np.int64)
    answer_BA = np.zeros_like(ask_BA)
    for at, row in enumerate(batch):
        ids_BQ[at, : len(row.fed)] = row.fed
        keep_BQ[at, : len(row.fed)] = True
        ask_BA[at, : len(row.ask)] = np.array(row.ask) - card.logit_shift
        answer_BA[at, : len(row.ask)] = row.answer
    arrays = (torch.from_numpy(array).to(device) for array in (ids_BQ, keep_BQ, ask_BA, answer_BA))
    ids, keep, ask, answer = arrays
    at_BQ = torch.arange(width, device=device).expand(len(batch), -1)
    logits_BAV = model.denoiser(ids, at_BQ, None, None if keep_BQ.all() else keep, ask).float()
    if not card.causal:
        logits_BAV[..., card.mask_id] = -torch.inf
    total_BA = logits_BAV.logsumexp(-1)
    best_BA, token_BA = logits_BAV.max(-1)
    own_BA = logits_BAV.gather(-1, answer[..., None])[..., 0]
    return torch.stack([own_BA - total_BA, best_BA - total_BA, (token_BA == answer).float()])
