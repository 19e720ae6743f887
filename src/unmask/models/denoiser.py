"""What a denoiser is: ids at absolute positions in, logits about the asked rows out.

Shape legend: B rows, Q fed positions, L canvas positions, A asked rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unmask.models.store import KeyValueStore, StoreRows


@dataclass(frozen=True)
class ModelCard:
    """What decoding has to know about a model besides its weights.

    ``logit_shift`` is 1 for models whose row ``i - 1`` speaks about token ``i`` (Dream, and every
    autoregressive model), else 0. ``span`` says how far a position looks: None to both ends of the
    text; n to the end of its own block of n (position // n, counted from the start of the text) and
    at all before it. 1 is causal. ``processes``: that share the model, a part each.
    """

    name: str
    family: str
    vocabulary: int
    mask_id: int
    end_ids: tuple[int, ...]
    pad_id: int
    max_length: int
    logit_shift: int = 0
    span: int | None = None
    parameters: int = 0
    processes: int = 1

    @property
    def causal(self) -> bool:
        """Whether a position looks left only: an autoregressive model."""
        return self.span == 1


class Denoiser(Protocol):
    """One forward pass. Implementations keep no state between calls besides ``store``.

    Calls about different rows may run at the same time, unless several processes share the model:
    then each of them has to make the same calls in the same order.
    """

    card: ModelCard

    def new_store(self, rows: int, length: int) -> KeyValueStore:
        """Room for the keys and values of ``rows`` canvases of up to ``length`` positions."""
        ...

    def __call__(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: StoreRows | None = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """Stand ``ids`` at absolute positions ``at`` and return logits [B, A, V].

        With a store, keys and values are written at ``at`` first and attention sees every position
        of ``store`` where ``keep`` is true (all of them when ``keep`` is None, which for a causal
        model says as well that ``at`` ascends in every row). Without one, the fed ids see each
        other only. ``ask`` holds columns of ``ids``; None asks for all of them.
        Raw rows come back: a shifted model's row ``i`` speaks about position ``at[i] + 1``.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def dtype(self) -> str:
        """The number type of the weights: float32, bfloat16, float16, int8 or fp8."""
        ...
