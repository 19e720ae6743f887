"""Strategy ``margin``: a fixed number per forward, largest gap between best and second token first
(Kim et al. 2025, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Settings
from unmask.decode.slate import STEPS, Slate, Strategy, quota, steps_per_block, take


@dataclass(frozen=True)
class Margin:
    """Every block is finished in ``steps`` forwards."""

    steps: int
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        return take(quota(slate, self.steps), proposal.margin_BA, slate)


OPTIONS = (STEPS,)


def build(settings: Settings, card: Card) -> Strategy:
    """One token a forward where no steps are given."""
    del card
    return Margin(steps_per_block(settings))
