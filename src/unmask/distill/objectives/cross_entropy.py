"""-log p(token): the student has to say what the teacher said."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unmask.distill.loss import Asked, Objective, Parts

NEEDS_TEACHER = False


def make(temperature: float) -> Objective:
    """The objective; always at temperature 1."""
    del temperature

    def value(asked: Asked) -> Parts:
        loss_T: Tensor = F.cross_entropy(asked.logits_TV, asked.target_T, reduction="none")
        return Parts(loss_T)

    return value
