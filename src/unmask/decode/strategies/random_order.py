"""Strategy ``random_order``: a fixed number a forward, in random order (LLaDA's baseline)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Settings
from unmask.decode.slate import STEPS, Slate, Strategy, quota, steps_per_block, take


@dataclass(frozen=True)
class RandomOrder:
    """Every block is finished in ``steps`` forwards."""

    steps: int
    random = True

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        del proposal
        assert slate.noise_BA is not None
        return take(quota(slate, self.steps), slate.noise_BA, slate)


OPTIONS = (STEPS,)


def build(settings: Settings, card: Card) -> Strategy:
    """One token a forward where no steps are given."""
    del card
    return RandomOrder(steps_per_block(settings))
