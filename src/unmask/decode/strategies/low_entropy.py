"""Strategy ``low_entropy``: accept every token whose entropy is below a bar (dParallel, d3LLM)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unmask.decode.proposal import Proposal
from unmask.decode.settings import Card, Option, Settings
from unmask.decode.slate import Slate, Strategy, at_least_best


@dataclass(frozen=True)
class LowEntropy:
    """H < threshold in nats, and the lowest of the frontier block where that gives none of it.

    ``reference``: d3LLM's rule for LLaDA passes ties, and the lowest of all open positions.
    """

    threshold: float
    reference: bool
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        score_BA = -proposal.entropy_BA
        if not self.reference:
            return at_least_best(score_BA > -self.threshold, score_BA, slate)
        anywhere = slate._replace(block_BA=slate.block_BA.clamp(max=0))
        accept_BA = at_least_best(score_BA >= -self.threshold, score_BA, anywhere)
        return at_least_best(accept_BA, score_BA, slate)


THRESHOLD = Option("threshold", float, 0.45, "most entropy of a token, in nats")
OPTIONS = (THRESHOLD,)


def build(settings: Settings, card: Card) -> Strategy:
    """The strategy, for any model; the default is dParallel's for LLaDA."""
    return LowEntropy(settings[THRESHOLD], settings.reference and not card.logit_shift)
