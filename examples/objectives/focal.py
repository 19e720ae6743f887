"""Objective ``focal``: cross-entropy that cares less for what is known (Lin et al. 2017, eq. 4)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unmask.distill.loss import Asked, Objective, Parts

NEEDS_TEACHER = False
GAMMA = 2


def make(temperature: float) -> Objective:
    """The objective; always at temperature 1."""
    del temperature

    def value(asked: Asked) -> Parts:
        log_T: Tensor = -F.cross_entropy(asked.logits_TV, asked.target_T, reduction="none")
        return Parts(-((1 - log_T.exp()) ** GAMMA) * log_T)

    return value
