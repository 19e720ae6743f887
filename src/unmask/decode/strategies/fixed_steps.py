"""Strategy ``fixed_steps``: the most confident tokens, a fixed number a forward (LLaDA, Alg. 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Settings
from unmask.decode.slate import STEPS, Slate, Strategy, quota, steps_per_block, take
from unmask.errors import InputError


@dataclass(frozen=True)
class FixedSteps:
    """Every block is finished in ``steps`` forwards."""

    steps: int
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        return take(quota(slate, self.steps), proposal.confidence_BA, slate)


@dataclass(frozen=True)
class DreamSchedule:
    """The reference's schedule for shifted models under a cache, kept to replay its figures.

    At step i of T, of m open tokens int(m (1 - t[i+1] / t[i])) are written on the grid t from 1 to
    1e-3, lowest entropy first; the last step writes the rest. The first step is the refresh, which
    decides on one position. Some steps write nothing.
    """

    steps: int
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        grid = torch.linspace(1, 1e-3, self.steps + 1, device=slate.age_B.device)
        age_B = slate.age_B.clamp(max=self.steps - 1)
        left_B = slate.open_BA.sum(1)
        due_B = (left_B * (1 - grid[age_B + 1] / grid[age_B])).long()
        last_B = (age_B == 0) | (age_B == self.steps - 1)
        due_B = torch.where(last_B, left_B, due_B)
        accept_BA = take(due_B, -proposal.entropy_BA, slate)
        return accept_BA & (due_B > 0)[:, None]


OPTIONS = (replace(STEPS, implies=True),)


def build(settings: Settings, card: Card) -> Strategy:
    """One token a forward where no steps are given; the reference's own schedule to replay it."""
    steps, most = settings[STEPS], settings.max_new_tokens
    if not (settings.reference and card.logit_shift and settings.alone):
        return FixedSteps(steps_per_block(settings))
    if (steps or 0) > most:
        message = f"steps={steps} is not allowed: the reference takes at most one step a token"
        hint = f"give at most {most}"
        raise InputError(message, field=STEPS.name, given=steps, hint=hint)
    return DreamSchedule(steps_per_block(settings))
