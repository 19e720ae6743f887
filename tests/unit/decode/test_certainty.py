"""Theorem 1 (Fast-dLLM) and the Frechet bound, tried on small explicit joint distributions.

What the rules certify is that writing these tokens at once gives the most probable joint text, and
the one that greedy decoding reaches one by one, in any order.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.decode import proposal
from unmask.decode.proposal import Proposal
from unmask.decode.slate import Slate
from unmask.decode.strategies.factor import Factor
from unmask.decode.strategies.frechet import Frechet

RULES = {"factor": Factor(1.0, reference=False), "frechet": Frechet(0.0)}
every_rule = pytest.mark.parametrize("name", sorted(RULES))


def joints(seed, places, vocabulary, noise):
    """A random joint with one text that stands out, as an array of ``places`` axes."""
    chance = np.random.default_rng(seed)
    joint = chance.dirichlet(np.full(vocabulary**places, 0.3)) * noise
    joint[chance.integers(len(joint))] += 1 - noise
    return joint.reshape([vocabulary] * places)


def marginals(joint):
    axes = range(joint.ndim)
    return np.stack([joint.sum(tuple(a for a in axes if a != axis)) for axis in axes])


def certified(rule, joint):
    """The positions that the rule writes at once, empty if it only forces the best one."""
    places = joint.ndim
    q = marginals(joint)
    frontier, zero = torch.zeros(1, places, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    logits = torch.from_numpy(q).clamp(min=1e-30).log()[None]
    accept = rule(Proposal(logits), Slate(frontier, zero, zero))[0]
    chosen = np.flatnonzero(accept.numpy())
    sure = q.max(1)[chosen]
    # A single token is forced; it is certified if 2 (1 - c) < 1.
    return chosen if len(chosen) > 1 or 2 * (1 - sure[0]) < 1 else chosen[:0]


def only(joint, chosen):
    """The joint of some positions."""
    return joint.sum(tuple(axis for axis in range(joint.ndim) if axis not in set(chosen)))


def greedy(joint, order):
    """The text that writing one most probable token after another reaches."""
    given_: list[int | slice] = [slice(None)] * joint.ndim
    for axis in order:
        rest = joint[tuple(given_)]
        axes = [a for a in range(joint.ndim) if isinstance(given_[a], slice)]
        drop = tuple(at for at, a in enumerate(axes) if a != axis)
        given_[axis] = int(rest.sum(drop).argmax())
    return tuple(given_)


cases = given(
    seed=st.integers(0, 2**32 - 1),
    places=st.integers(1, 4),
    vocabulary=st.integers(2, 4),
    noise=st.floats(0.0, 0.9),
)


@every_rule
@cases
def test_what_is_certified_is_the_mode_of_the_joint(name, seed, places, vocabulary, noise):
    joint = joints(seed, places, vocabulary, noise)
    chosen = certified(RULES[name], joint)
    if len(chosen):
        part = only(joint, chosen)
        mode = np.unravel_index(part.argmax(), part.shape)
        assert tuple(marginals(joint).argmax(1)[chosen]) == mode


@every_rule
@cases
def test_what_is_certified_is_what_greedy_decoding_reaches_in_any_order(
    name, seed, places, vocabulary, noise
):
    joint = joints(seed, places, vocabulary, noise)
    chosen = certified(RULES[name], joint)
    if len(chosen):
        part = only(joint, chosen)
        together = tuple(marginals(joint).argmax(1)[chosen])
        orders = itertools.permutations(range(len(chosen)))
        assert {greedy(part, order) for order in orders} == {together}


@pytest.mark.parametrize("places", [2, 3, 5])
def test_the_bound_of_the_theorem_is_tight(places):
    """A joint just outside of it, whose marginals point to a text that is not its mode.

    p(one position differs) = 1/(n+1) + h/n each, p(all zeros) = 1/(n+1) - h, so that every
    marginal of 0 is 1 - 1/(n+1) - h/n: all zeros by position, but no zeros by text.
    """
    h = 0.01
    joint = np.zeros([2] * places)
    joint[(0,) * places] = 1 / (places + 1) - h
    for place in range(places):
        joint[tuple(int(p == place) for p in range(places))] = 1 / (places + 1) + h / places
    assert joint.sum() == pytest.approx(1)
    assert (marginals(joint).argmax(1) == 0).all()
    assert joint.argmax() != 0
    assert len(certified(RULES["factor"], joint)) < places


def test_entropy_of_known_distributions():
    uniform = Proposal(torch.zeros(1, 1, 10))
    assert uniform.entropy_BA.item() == pytest.approx(2.302585, abs=1e-6)
    for logits, expected in (([2.0, 0, 0, 0], 0.918284), ([4.0, 0, 0, 0], 0.261831)):
        found = Proposal(torch.tensor([[logits]])).entropy_BA.item()
        assert found == pytest.approx(expected, abs=1e-6)


def test_entropy_of_sharp_rows_loses_no_digits():
    """1,000 rows of 32,000 logits of deviation 20, against the definition in float64."""
    logits = 20 * torch.randn(1, 1000, 32_000, generator=torch.Generator().manual_seed(0))
    log_q = logits.double().log_softmax(-1)
    expected = -(log_q.exp() * log_q).sum(-1)
    assert (Proposal(logits).entropy_BA - expected).abs().max() < 1e-5


@pytest.mark.parametrize(("vocabulary", "lead"), [(2048, 14), (126_464, 20), (151_936, 25)])
def test_a_sure_token_of_a_large_vocabulary_loses_no_digits(vocabulary, lead):
    """The sum that a soft-max divides by is off there by up to 1e-4 on a CPU."""
    logits = torch.randn(1, 8, vocabulary, generator=torch.Generator().manual_seed(0))
    logits[..., 7] += lead
    q = logits.double().softmax(-1)
    entropy = -(q * logits.double().log_softmax(-1)).sum(-1)
    drawn = torch.full((1, 8), 5)
    found = Proposal(logits, drawn)
    torch.testing.assert_close(found.entropy_BA, entropy, rtol=3e-6, atol=0)
    torch.testing.assert_close(found.confidence_BA, q[..., 5], rtol=3e-6, atol=0)


def test_tokens_that_tie_have_no_margin():
    logits = torch.randn(1, 500, 300, generator=torch.Generator().manual_seed(0))
    logits[..., 3] = logits[..., 9] = logits.amax(-1)
    assert (Proposal(logits).margin_BA == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("at_once", [1, 150, 1000])
@pytest.mark.parametrize("drawn", [False, True])
def test_logits_scored_in_parts_score_as_a_whole(dtype, at_once, drawn, monkeypatch):
    """One position, three, or all of a text of five times seven positions and 50 tokens."""
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(5, 7, 50, generator=generator)).to(dtype)
    token = torch.randint(50, (5, 7), generator=generator) if drawn else None
    whole = proposal.Proposal(logits, token)
    wanted = [whole.token_BA, whole.confidence_BA, whole.entropy_BA, whole.margin_BA]
    monkeypatch.setattr(proposal, "AT_ONCE", at_once)
    parts = proposal.Proposal(logits, token)
    found = [parts.token_BA, parts.confidence_BA, parts.entropy_BA, parts.margin_BA]
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_no_copy_is_larger_than_what_is_scored_at_once(monkeypatch):
    monkeypatch.setattr(proposal, "AT_ONCE", 100)
    sizes = []
    shares = proposal._Shares
    monkeypatch.setattr(
        proposal, "_Shares", lambda part, own: sizes.append(part.numel()) or shares(part, own)
    )
    scored = proposal.Proposal(torch.zeros(4, 6, 50, dtype=torch.bfloat16))
    scored.entropy_BA, scored.margin_BA  # noqa: B018
    assert sizes == [100] * 12 * 3
