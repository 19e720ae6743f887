"""Strategy ``frechet``: the longest prefix of the confidence order that a Frechet bound certifies.

With c(1) >= c(2) >= ..., accept the largest n with max(0, sum of c(1..n) - (n - 1)) - (1 - c(n)) >
delta (Fast-dLLM++, arXiv 2606.02955, Theorem 4.1). It accepts a superset of `factor` at 1 - delta.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class Frechet:
    """A prefix of the confidence order."""

    delta: float
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        score = proposal.confidence_BA.masked_fill(~slate.open_BA, -torch.inf)
        ordered, index = score.sort(dim=1, descending=True, stable=True)
        n = torch.arange(score.shape[1], device=score.device)
        lower = (ordered.double().cumsum(1) - n).clamp(min=0)
        passes = lower - (1 - ordered.double()) > self.delta
        prefix = passes.cumprod(1).bool()  # the margin falls with n: the first failure ends it
        accept_BA = torch.zeros_like(prefix).scatter(1, index, prefix)
        return at_least_best(accept_BA, proposal.confidence_BA, slate)


DELTA = Option("delta", float, 0.25, "margin that the bound has to leave", high=1, implies=True)
OPTIONS = (DELTA,)


def build(settings: Settings, card: Card) -> Strategy:
    """The strategy, for any model; the default is the paper's."""
    del card
    return Frechet(settings[DELTA])
