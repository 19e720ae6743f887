"""Drawing tokens: frequencies, filters, and what confidence means when noise decides.

Frequencies are of 40 000 draws with a fixed seed. One standard error is at most
sqrt(0.25 / 40000) = 0.0025; the tolerance of 0.01 is four of them.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from doubles import FakeDenoiser, model_of, sure_of
from unmask import generate
from unmask.decode.proposal import Proposal, Sampling, argmax, draw, filtered, propose

DRAWS = 40_000
LOGITS = torch.tensor([1.0, 0.0, -1.0])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def frequencies(logits, sampling, seed=0):
    drawn = draw(logits.expand(DRAWS, -1), sampling, seeded(seed))
    return drawn.bincount(minlength=len(logits)) / DRAWS


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 2.5, torch.inf, -torch.inf, torch.nan]), min_size=1),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
def test_the_best_token_is_the_lowest_of_the_best_and_nan_wins(row, dtype):
    logits = torch.tensor([[row, row[::-1]]], dtype=dtype)
    for values, found in zip((row, row[::-1]), argmax(logits)[0].tolist(), strict=True):
        nan = [at for at, value in enumerate(values) if value != value]
        assert found == (nan[0] if nan else values.index(max(values)))


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        # The soft-max of (1, 0, -1) / T.
        (0.5, [0.867, 0.117, 0.016]),
        (1.0, [0.665, 0.245, 0.090]),
        (2.0, [0.506, 0.307, 0.186]),
    ],
)
def test_draws_follow_softmax_at_the_temperature(temperature, expected):
    found = frequencies(LOGITS, Sampling(temperature))
    assert found.tolist() == pytest.approx(expected, abs=0.01)


def test_large_logits_do_not_overflow():
    # exp(800) is infinite in float64; 800 and 799 still have to be told apart: 0.731 and 0.269.
    found = frequencies(torch.tensor([800.0, 799.0, 0.0]), Sampling(1.0))
    assert found.tolist() == pytest.approx([0.731, 0.269, 0.0], abs=0.01)


def test_a_low_temperature_takes_the_best():
    assert frequencies(LOGITS, Sampling(0.01)).tolist() == [1.0, 0.0, 0.0]


def test_top_p_keeps_the_token_that_crosses_p():
    # 0.5 0.3 0.2: 0.5 alone is less than 0.6, so 0.3 is kept and 0.2 is not: 5/8 and 3/8.
    logits = torch.tensor([0.2, 0.5, 0.3]).log()
    kept = filtered(logits[None], Sampling(1.0, top_p=0.6))[0].isfinite()
    assert kept.tolist() == [False, True, True]
    found = frequencies(logits, Sampling(1.0, top_p=0.6))
    assert found.tolist() == pytest.approx([0.0, 0.625, 0.375], abs=0.01)


def test_a_tiny_top_p_keeps_the_best_token():
    kept = filtered(LOGITS[None], Sampling(1.0, top_p=1e-6))[0].isfinite()
    assert kept.tolist() == [True, False, False]


def test_top_k_keeps_all_that_tie_with_the_last():
    logits = torch.tensor([[2.0, 1.0, 1.0, 0.0]])
    assert filtered(logits, Sampling(1.0, top_k=2)).isfinite().tolist() == [
        [True, True, True, False]
    ]


def test_top_k_beyond_the_vocabulary_keeps_all():
    assert filtered(LOGITS[None], Sampling(1.0, top_k=9)).isfinite().all()


@given(seed=st.integers(0, 2**32 - 1), p=st.floats(0.01, 0.99), k=st.integers(1, 9))
def test_filters_agree_with_brute_force(seed, p, k):
    logits = 3 * torch.randn(9, generator=seeded(seed))
    q = logits.double().softmax(-1)
    order = sorted(range(9), key=lambda token: -q[token])
    before = [float(sum(q[t] for t in order[:place])) for place in range(9)]
    if any(abs(sum_ - p) < 1e-5 for sum_ in before):
        return  # rounding decides
    nucleus = {token for token, sum_ in zip(order, before, strict=True) if sum_ <= p}
    for sampling, kept in (
        (Sampling(1.0, top_p=p), nucleus),
        (Sampling(1.0, top_k=k), set(order[:k])),
    ):
        found = filtered(logits[None], sampling)[0].isfinite().nonzero()[:, 0]
        assert set(found.tolist()) == kept


@given(seed=st.integers(0, 2**32 - 1))
def test_confidence_entropy_and_margin_agree_with_brute_force(seed):
    logits = 4 * torch.randn(2, 3, 6, generator=seeded(seed))
    found = Proposal(logits)
    q = logits.double().softmax(-1)
    best = q.sort(-1, descending=True).values
    entropy = torch.distributions.Categorical(probs=q).entropy()
    assert torch.equal(found.token_BA, logits.argmax(-1))
    assert torch.allclose(found.confidence_BA.double(), best[..., 0], atol=1e-6)
    assert torch.allclose(found.margin_BA.double(), best[..., 0] - best[..., 1], atol=1e-6)
    assert torch.allclose(found.entropy_BA.double(), entropy, atol=1e-5)


def test_a_forbidden_token_adds_nothing_to_entropy():
    # Two equal tokens and one impossible: ln 2.
    found = Proposal(torch.tensor([[[0.0, 0.0, -torch.inf]]]))
    assert found.entropy_BA.item() == pytest.approx(0.693147, abs=1e-5)


def test_confidence_is_that_of_the_drawn_token_without_temperature_noise_or_filter():
    q = torch.tensor([0.5, 0.3, 0.2, 0.0])
    logits = q.log().expand(1, 200, 4).clone()
    sampling = Sampling(temperature=3.0, top_k=2)
    found = propose(logits, 3, [sampling], [seeded()], [200])
    assert set(found.token_BA[0].tolist()) == {0, 1}
    assert torch.allclose(found.confidence_BA.float(), q[found.token_BA])


def test_a_greedy_row_beside_a_sampling_one_stays_greedy():
    logits = LOGITS.expand(2, 50, 3).clone()
    both = [Sampling(), Sampling(5.0)]
    found = propose(logits, 2, both, [None, seeded()], [50, 50])
    assert set(found.token_BA[0].tolist()) == {0}
    assert set(found.token_BA[1].tolist()) == {0, 1}


def test_equal_logits_are_decided_for_the_lowest_token():
    assert Proposal(torch.zeros(1, 1, 5)).token_BA.item() == 0


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(llada):
    limits = {"max_new_tokens": 16, "block_length": 8, "temperature": 1.5, "early_stop": False}
    first, again, other = (
        generate(llada, [1, 2, 3], seed=seed, **limits)[0].token_ids for seed in (7, 7, 8)
    )
    assert first == again != other


def test_sampling_without_a_seed_differs_from_run_to_run(llada):
    limits = {"max_new_tokens": 16, "block_length": 8, "temperature": 5.0, "early_stop": False}
    answers = [tuple(generate(llada, [1, 2, 3], **limits)[0].token_ids) for _ in range(3)]
    assert len(set(answers)) > 1


@pytest.mark.parametrize("seed", [None, 3])
def test_decoding_leaves_the_global_generator_alone(seed, llada):
    before = torch.get_rng_state()
    generate(llada, [1, 2], max_new_tokens=4, block_length=4, temperature=1.0, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_order_is_uniform():
    """Which of four positions comes first, over 400 seeds: 100 each, standard error 8.7."""
    model = model_of(FakeDenoiser(sure_of([0.5, 0.9, 0.8, 0.7, 0.6])), 4, 4)
    first = [0] * 4
    for seed in range(400):
        [result] = generate(model, [0], "vanilla", strategy="random_order", seed=seed)
        first[result.trajectory.order()[0] - 1] += 1
    assert all(abs(count - 100) < 40 for count in first)
