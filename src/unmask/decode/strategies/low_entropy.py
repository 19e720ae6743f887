"""Strategy ``low_entropy``: accept every token whose entropy is at most this (dParallel)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Settings, in_range
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class LowEntropy:
    """H <= threshold in nats, and always the lowest."""

    threshold: float
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        score = -proposal.entropy_BA
        return at_least_best(score >= -self.threshold, score, slate)


USES = ("threshold",)


def build(settings: Settings) -> Strategy:
    """From ``threshold``, nats (default 0.45, dParallel's for LLaDA)."""
    threshold = 0.45 if settings.threshold is None else settings.threshold
    return LowEntropy(in_range("threshold", threshold, 0, math.inf, "an entropy in nats, say 0.45"))
