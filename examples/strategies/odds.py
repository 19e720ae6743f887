"""Strategy ``odds``: accept a token that is so many times as likely as the runner-up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import LARGEST, Settings, in_range
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class Odds:
    """p(best) >= ratio * p(second), and always the clearest one."""

    ratio: float
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        best_BA, second_BA = proposal.logits_BAV.topk(2).values.unbind(-1)
        score_BA = best_BA - second_BA  # the logarithm of the ratio
        return at_least_best(score_BA >= math.log(self.ratio), score_BA, slate)


USES = ("threshold",)


def build(settings: Settings) -> Strategy:
    """From ``threshold``, how many times as likely (default 20)."""
    ratio = 20.0 if settings.threshold is None else settings.threshold
    return Odds(in_range("threshold", ratio, 1, LARGEST, "a number of at least 1, say 20"))
