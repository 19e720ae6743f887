"""A transformer as it is trained: logits of the supervised tokens alone.

Shape legend: B rows, L positions, T supervised tokens, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unmask.distill.batches import Batch
from unmask.models.blocks import Transformer


class Supervised(nn.Module):
    """A transformer whose head sees supervised tokens only."""

    def __init__(self, denoiser: Transformer) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, batch: Batch) -> Tensor:
        """Logits [T, V] in fp32."""
        at = torch.arange(batch.ids_BL.shape[1], device=batch.ids_BL.device)
        hidden = self.denoiser.hidden(
            batch.ids_BL, at.expand_as(batch.ids_BL), keep_BL=batch.keep_BL
        )
        return self.denoiser.speak(hidden[batch.row_T, batch.column_T]).float()
