"""What a strategy sees, and the helpers that all strategies share.

Shape legend: B rows, A asked positions (ascending, padded on the right).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Option, Settings
from unmask.errors import InputError

STEPS: Option[int | None] = Option("steps", int, None, "forwards of the whole answer", low=1)


class Slate(NamedTuple):
    """The positions to decide on.

    ``block_BA``: the block that every asked position lies in, counted from the row's first
    unfinished one, the frontier, which is 0; -1 for padding. ``total_B``: how many
    tokens the frontier had to get in all. ``age_B``: forwards spent on it before this one.
    ``noise_BA``: uniforms of the row's generator, for strategies that declare ``random``.
    """

    block_BA: Tensor
    total_B: Tensor
    age_B: Tensor
    noise_BA: Tensor | None = None

    @property
    def open_BA(self) -> Tensor:
        """Asked positions, false for padding."""
        return self.block_BA >= 0

    @property
    def must_BA(self) -> Tensor:
        """Positions of the frontier (at least one in every row), one of which must be accepted."""
        return self.block_BA == 0


class Strategy(Protocol):
    """Says which proposals to believe.

    Laws (tested for every file): only open positions are accepted; every row with an open position
    accepts at least one, and at least one of ``must``; rows do not influence each other.
    """

    random: bool
    """Whether it needs ``slate.noise_BA``."""

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        ...


def at_least_best(accept_BA: Tensor, score_BA: Tensor, slate: Slate) -> Tensor:
    """``accept`` within the open positions, and the best-scored of ``must``.

    For rules that accept by ``score``: then the best is either accepted or all of ``must`` is
    refused. The lowest position wins a tie.
    """
    best_B1 = score_BA.where(slate.must_BA, -torch.inf).argmax(1, keepdim=True)
    return accept_BA.scatter(1, best_B1, value=True) & slate.open_BA


def ranks(score_BA: Tensor, slate: Slate) -> Tensor:
    """Rank of every open position by descending score, 0 the best; the lower one wins a tie."""
    score_BA = score_BA.where(slate.open_BA, -torch.inf)
    return score_BA.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


def take(count_B: Tensor, score_BA: Tensor, slate: Slate) -> Tensor:
    """The ``count`` best-scored open positions of every row, at least one of them a ``must``."""
    return at_least_best(ranks(score_BA, slate) < count_B[:, None], score_BA, slate)


def steps_per_block(settings: Settings) -> int:
    """Forwards a quota strategy spends on a block: one per token unless ``steps`` is given.

    Raises:
        InputError: ``steps`` cannot be shared equally by the blocks.
    """
    steps, blocks = settings[STEPS], -(-settings.max_new_tokens // settings.block)
    if steps is None:
        return settings.block
    if steps % blocks:
        raise InputError(
            f"steps={steps} cannot be shared equally by {blocks} blocks",
            field=STEPS.name,
            given=steps,
            hint=f"use a multiple of {blocks}, say {-(-steps // blocks) * blocks}",
        )
    return steps // blocks


def quota(slate: Slate, steps: int) -> Tensor:
    """Tokens due now [B] when a block gets all of its tokens in ``steps`` forwards.

    m tokens in T steps: m // T each, one more in the first m % T (Fast-dLLM, LLaDA).
    """
    share, rest = slate.total_B // steps, slate.total_B % steps
    return share + (slate.age_B < rest)
