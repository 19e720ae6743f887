"""Entropy of what is already right: certainty forcing (dParallel, eq. 6)."""

from __future__ import annotations

from unmask.distill.loss import Asked, Objective, Parts, entropy

NEEDS_TEACHER = False


def make(temperature: float) -> Objective:
    """Entropy in nats of softmax(logits / temperature) where the argmax is the target.

    The papers use 0.5, at which sure tokens feel nothing more; decoders compare the entropy at 1.
    """

    def value(asked: Asked) -> Parts:
        right_T = asked.logits_TV.argmax(-1) == asked.target_T
        entropy_T = entropy(asked.logits_TV / temperature)
        return Parts(entropy_T.where(right_T, 0.0), right_T)

    return value
