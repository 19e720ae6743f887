"""Strategy ``threshold``: accept every token with at least this confidence (Fast-dLLM, Alg. 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Option, Settings
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


THRESHOLD = Option("threshold", float, 0.9, "least confidence, a probability", high=1, implies=True)
OPTIONS = (THRESHOLD,)


def build(settings: Settings, card: Card) -> Strategy:
    """The strategy, for any model."""
    del card
    return Threshold(settings[THRESHOLD])
