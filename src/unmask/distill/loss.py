"""Objectives -> one number to descend.

Ours is one mean over all supervised tokens of the global batch: its denominator is known before
the first micro-batch runs, so that accumulation and data parallelism change nothing. The
references take a mean for each view and objective, and add them up.

Shape legend: T supervised tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = -1e4
"""Stands for the log of zero: nought times infinity is no number."""


@dataclass(frozen=True)
class Asked:
    """Supervised tokens of a micro-batch, gathered. ``view_T``: 0, or 1 for the complement;
    ``weight_T``: share in the mean. Logits in fp32."""

    logits_TV: Tensor
    target_T: Tensor
    view_T: Tensor
    weight_T: Tensor
    teacher_TV: Tensor | None = None


@dataclass(frozen=True)
class Parts:
    """Loss of every token; ``counted_T``: those that the reference's mean is over (None: all)."""

    loss_T: Tensor
    counted_T: Tensor | None = None


Objective = Callable[[Asked], Parts]
"""What every file in `unmask.distill.objectives` makes."""


@dataclass(frozen=True)
class Reference:
    """How a reference trainer adds up: all over ``divisor``; certainty on the complement or not."""

    divisor: float
    certainty_on_complement: bool


def total(
    asked: Asked, objectives: Mapping[str, tuple[float, Objective]], weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the objectives' means, and the means; ``weight``: of the global batch."""
    means = {
        name: (objective(asked).loss_T * asked.weight_T).sum() / weight
        for name, (_, objective) in objectives.items()
    }
    loss = torch.stack([share * means[name] for name, (share, _) in objectives.items()]).sum()
    return loss, means


def reference_total(
    asked: Asked, objectives: Mapping[str, tuple[float, Objective]], how: Reference
) -> tuple[Tensor, dict[str, Tensor]]:
    """The references' sum of means per view (dParallel and d3LLM trainers, compute_loss)."""
    means: dict[str, Tensor] = {}
    for name, (_, objective) in objectives.items():
        parts = objective(asked)
        counted = torch.ones_like(asked.view_T, dtype=torch.bool)
        counted = counted if parts.counted_T is None else parts.counted_T
        views = (0, 1) if name != "certainty" or how.certainty_on_complement else (0,)
        means[name] = torch.stack(
            [mean_of(parts.loss_T, counted & (asked.view_T == view)) for view in views]
        ).sum()
    shares = [share * means[name] for name, (share, _) in objectives.items()]
    return torch.stack(shares).sum() / how.divisor, means


def mean_of(loss_T: Tensor, counted_T: Tensor) -> Tensor:
    """Mean over the counted tokens; 0 with a graph if there is none."""
    return (loss_T * counted_T).sum() / counted_T.sum().clamp(min=1)


def entropy(logits_TV: Tensor) -> Tensor:
    """Entropy in nats over the last axis; forbidden ids (-inf) count as impossible."""
    log_TV = F.log_softmax(logits_TV, -1).clamp(min=LEAST)
    return -(log_TV.exp() * log_TV).sum(-1)
