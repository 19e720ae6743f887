"""Strategy ``factor``: the largest n with (n + 1)(1 - c(n)) < factor (Fast-dLLM v3, Alg. 1).

c(n) is the n-th largest confidence. At factor 1 this is the condition under which parallel and
sequential greedy decoding agree (Theorem 1). The reference code deviates twice, and published
figures depend on it, so ``reference`` replays it: it passes ties, and a first failure at the very
last candidate commits all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.slate import Slate, Strategy, at_least_best, ranks


@dataclass(frozen=True)
class Factor:
    """A prefix of the confidence order."""

    factor: float
    reference: bool
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        rank_BA = ranks(proposal.confidence_BA, slate)
        risk_BA = (rank_BA + 2) * (1 - proposal.confidence_BA)
        fails_BA = risk_BA > self.factor if self.reference else risk_BA >= self.factor
        fails_BA = fails_BA & slate.open_BA & (rank_BA > 0)
        never = slate.open_BA.shape[1]
        first_B = torch.where(fails_BA, rank_BA, never).amin(1)
        if self.reference:
            last_B = slate.open_BA.sum(1) - 1
            first_B = torch.where(first_B == last_B, never, first_B)
        return at_least_best(rank_BA < first_B[:, None], proposal.confidence_BA, slate)


FACTOR = Option("factor", float, 1.0, "risk that is taken", above=True, implies=True)
OPTIONS = (FACTOR,)


def build(settings: Settings, card: Card) -> Strategy:
    """The strategy, for any model."""
    del card
    return Factor(settings[FACTOR], reference=settings.reference)
