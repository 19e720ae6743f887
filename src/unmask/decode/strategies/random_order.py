"""Strategy ``random_order``: a fixed number a forward, in random order (LLaDA's baseline)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Settings
from unmask.decode.slate import Slate, Strategy, quota, take


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


USES = ("steps",)


def build(settings: Settings) -> Strategy:
    """From ``steps``, the forwards of the whole answer (default: one per token)."""
    return RandomOrder(settings.steps_per_block())
