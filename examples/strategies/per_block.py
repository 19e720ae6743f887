"""Strategy ``per_block``: the most confident tokens of every block in flight, above a floor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class PerBlock:
    """c >= floor, and among the ``most`` best of its block; always the best of the first block."""

    most: int
    floor: float
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        score_BA, block_BA = proposal.confidence_BA, slate.block_BA
        mine, other = score_BA[:, :, None], score_BA[:, None, :]
        place_A = torch.arange(score_BA.shape[1], device=score_BA.device)
        before_BAA = (other > mine) | ((other == mine) & (place_A < place_A[:, None]))
        rank_BA = (before_BAA & (block_BA[:, :, None] == block_BA[:, None, :])).sum(2)
        accept_BA = (rank_BA < self.most) & (score_BA >= self.floor)
        return at_least_best(accept_BA, score_BA, slate)


MOST = Option("most", int, 4, "tokens that a block gets in a forward", low=1)
FLOOR = Option("floor", float, 0.5, "least confidence of a token, a probability", high=1)
OPTIONS = (MOST, FLOOR)


def build(settings: Settings, card: Card) -> Strategy:
    """The strategy, for any model."""
    del card
    return PerBlock(settings[MOST], settings[FLOOR])
