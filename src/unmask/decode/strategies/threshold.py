"""Strategy ``threshold``: accept every token with at least this confidence (Fast-dLLM, Alg. 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Settings, in_range
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class Threshold:
    """c >= threshold, and always the most confident one."""

    threshold: float
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        score = proposal.confidence_BA
        return at_least_best(score >= self.threshold, score, slate)


USES = ("threshold",)


def build(settings: Settings) -> Strategy:
    """From ``threshold``, a probability (default 0.9)."""
    threshold = 0.9 if settings.threshold is None else settings.threshold
    return Threshold(in_range("threshold", threshold, 0, 1, "a probability, say 0.9"))
