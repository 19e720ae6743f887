"""How many of a row of confidences `factor` and `frechet` accept: small cases and brute force."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from doubles import sure_of
from unmask.decode.proposal import Proposal
from unmask.decode.slate import Slate
from unmask.decode.strategies.factor import Factor
from unmask.decode.strategies.frechet import Frechet

confidences = st.lists(st.floats(0.3, 0.999), min_size=1, max_size=12)


def accepted(strategy, profile):
    """The positions accepted of one row with these confidences."""
    logits = sure_of(profile, vocabulary=6)[None]
    frontier, ages = (
        torch.zeros(1, len(profile), dtype=torch.long),
        torch.zeros(1, dtype=torch.long),
    )
    accept = strategy(Proposal(logits), Slate(frontier, ages, ages))[0]
    return set(accept.nonzero()[:, 0].tolist())


def confidences_of(places, profile):
    """What was accepted, by confidence: rounding decides which of two equal ones is taken."""
    return sorted(profile[place] for place in places)


@pytest.mark.parametrize(
    ("profile", "paper", "reference"),
    [
        ([0.99, 0.01], 1, 2),  # 3 x 0.99 fails at the last: the reference takes both
        ([0.9, 0.8, 0.1], 2, 3),  # 3 x 0.2 passes, 4 x 0.9 fails at the last
        ([0.95, 0.2, 0.1], 1, 1),  # 3 x 0.8 fails, and not at the last
        ([0.99] * 8, 8, 8),  # 9 x 0.01
        ([0.3], 1, 1),  # one is always taken
    ],
)
def test_factor_one(profile, paper, reference):
    assert len(accepted(Factor(1.0, reference=False), profile)) == paper
    assert len(accepted(Factor(1.0, reference=True), profile)) == reference


@given(profile=confidences, factor=st.floats(0.1, 4.0))
def test_factor_takes_the_largest_prefix_of_the_rule(profile, factor):
    profile = [float(c) for c in torch.tensor(profile, dtype=torch.float32)]
    order = sorted(range(len(profile)), key=lambda place: -profile[place])
    risks = [(n + 1) * (1 - profile[place]) for n, place in enumerate(order, 1)]
    if any(abs(risk - factor) < 1e-4 for risk in risks):
        return  # rounding decides
    count = max([n for n, risk in enumerate(risks, 1) if risk < factor], default=1)
    taken = accepted(Factor(factor, reference=False), profile)
    assert confidences_of(taken, profile) == pytest.approx(
        confidences_of(order[:count], profile), abs=1e-6
    )


@given(profile=confidences, delta=st.floats(0.0, 0.9))
def test_frechet_takes_the_largest_prefix_of_the_rule(profile, delta):
    order = sorted(range(len(profile)), key=lambda place: -profile[place])
    margins = [
        max(0, sum(profile[place] for place in order[:n]) - (n - 1)) - (1 - profile[order[n - 1]])
        for n in range(1, len(order) + 1)
    ]
    if any(abs(margin - delta) < 1e-4 for margin in margins):
        return  # rounding decides
    count = max([n for n, margin in enumerate(margins, 1) if margin > delta], default=1)
    taken = accepted(Frechet(delta), profile)
    assert confidences_of(taken, profile) == pytest.approx(
        confidences_of(order[:count], profile), abs=1e-6
    )


@given(confidence=st.floats(0.3, 0.999), count=st.integers(1, 12), delta=st.floats(0.0, 0.9))
def test_frechet_equals_factor_at_one_minus_delta_when_all_are_equally_sure(
    confidence, count, delta
):
    # n c - (n - 1) - (1 - c) > delta  is  (n + 1)(1 - c) < 1 - delta.
    if any(abs((n + 1) * (1 - confidence) - (1 - delta)) < 1e-4 for n in range(1, count + 1)):
        return  # rounding decides
    profile = [confidence] * count
    factor = Factor(1 - delta, reference=False)
    assert accepted(Frechet(delta), profile) == accepted(factor, profile)


@given(profile=confidences, delta=st.floats(0.0, 0.9))
def test_frechet_accepts_a_superset_of_factor_at_one_minus_delta(profile, delta):
    """The margin is (1 - factor's risk) and what the others have over the n-th, which is >= 0."""
    if any(abs((n + 1) * (1 - c) - (1 - delta)) < 1e-4 for c in profile for n in range(1, 13)):
        return  # rounding decides
    factor = Factor(1 - delta, reference=False)
    assert accepted(factor, profile) <= accepted(Frechet(delta), profile)
