"""Test doubles: a denoiser that says about every position what it is told to say.

Shape legend: B rows, Q fed positions, A asked rows, L canvas positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unmask import Model, Result
from unmask.models.denoiser import ModelCard
from unmask.models.store import KeyValueStore, StoreRows, StoreSize

VOCABULARY = 8
MASK = VOCABULARY - 1


class Call(NamedTuple):
    """The arguments of one forward."""

    ids_BQ: Tensor
    at_BQ: Tensor
    keep_BL: Tensor | None
    ask_BA: Tensor | None


class FakeDenoiser:
    """Context free: its logits about position p are row p of ``logits_LV``, whatever it is fed."""

    def __init__(
        self,
        logits_LV: Tensor,
        *,
        shift: int = 0,
        causal: bool = False,
        end_ids: Sequence[int] = (),
    ) -> None:
        self.logits_LV = logits_LV
        self.calls: list[Call] = []
        length, vocabulary = logits_LV.shape
        self.card = ModelCard(
            name="fake",
            family="fake",
            vocabulary=vocabulary,
            mask_id=vocabulary - 1,
            end_ids=tuple(end_ids),
            pad_id=0,
            max_length=length,
            logit_shift=shift,
            span=1 if causal else None,
        )

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> str:
        return "float32"

    def new_store(self, rows: int, length: int) -> KeyValueStore:
        return KeyValueStore(StoreSize(1, rows, length, 1, 1), torch.float32, self.device)

    def __call__(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: StoreRows | None = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        self.calls.append(Call(ids_BQ, at_BQ, keep_BL, ask_BA))
        about = at_BQ if ask_BA is None else at_BQ.gather(1, ask_BA)
        about = (about + self.card.logit_shift).clamp(max=len(self.logits_LV) - 1)
        return self.logits_LV[about].clone()


def sure_of(
    confidences: Sequence[float], tokens: Sequence[int] | None = None, vocabulary: int = VOCABULARY
) -> Tensor:
    """Logits [L, V]: ``confidences[p]`` for ``tokens[p]`` (0, 1, 0, 1, ... if not given).

    The rest is shared evenly by the others; the mask id, the last of the vocabulary, gets nothing.
    """
    sure = torch.tensor(confidences, dtype=torch.float64)
    places = torch.arange(len(sure))
    chosen = places % 2 if tokens is None else torch.tensor(tokens)
    logits = ((1 - sure) / (vocabulary - 2)).log()[:, None].repeat(1, vocabulary)
    logits[places, chosen] = sure.log()
    logits[:, -1] = -1e9
    return logits.float()


def model_of(denoiser: FakeDenoiser, max_new_tokens: int, block_length: int) -> Model:
    """A model without tokenizer around a double."""
    defaults = {"max_new_tokens": max_new_tokens, "block_length": block_length}
    return Model(denoiser, None, None, defaults)  # type: ignore[arg-type]


def births(result: Result) -> list[list[int]]:
    """The positions that every forward of an answer wrote."""
    trajectory = result.trajectory
    return [
        [p for p, born in enumerate(trajectory.born_L) if born == step]
        for step in range(1, trajectory.steps + 1)
    ]


def per_block(result: Result, block_length: int) -> tuple[int, ...]:
    """Forwards spent on every block; a forward belongs to the block that it wrote into."""
    start = result.trajectory.prompt_length
    blocks = [(written[0] - start) // block_length for written in births(result) if written]
    return tuple(blocks.count(block) for block in range(max(blocks) + 1))


class ScheduledDenoiser(FakeDenoiser):
    """Is sure of position p from call ``calls_L[p]`` on; before that it only leans to the token.

    The other logits are 0: sure is 30 (entropy about 0), leaning is 0.5 (2.3 nats of 10 tokens).
    ``rising``: it leans more to tokens further right. For one row at a time.
    """

    def __init__(
        self, tokens: Sequence[int], calls_L: Sequence[int], *, rising: bool = False, **card: Any
    ) -> None:
        vocabulary = max(10, *(token + 2 for token in tokens))
        super().__init__(torch.zeros(len(tokens), vocabulary), **card)
        self.tokens_L, self.calls_L = torch.tensor(tokens), torch.tensor(calls_L)
        self.lean_L = 0.5 + 0.01 * rising * torch.arange(len(tokens))

    def __call__(self, *arguments: Any) -> Tensor:
        sure_L = self.calls_L <= len(self.calls) + 1
        self.logits_LV.zero_()
        places = torch.arange(len(self.tokens_L))
        self.logits_LV[places, self.tokens_L] = torch.where(sure_L, 30.0, self.lean_L)
        return super().__call__(*arguments)
