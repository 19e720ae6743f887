"""Strategy ``margin``: a fixed number per forward, largest gap between best and second token first
(Kim et al. 2025, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Settings
from unmask.decode.slate import Slate, Strategy, quota, take


@dataclass(frozen=True)
class Margin:
    """Every block is finished in ``steps`` forwards."""

    steps: int
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        return take(quota(slate, self.steps), proposal.margin_BA, slate)


USES = ("steps",)


def build(settings: Settings) -> Strategy:
    """From ``steps``, the forwards of the whole answer (default: one per token)."""
    return Margin(settings.steps_per_block())
