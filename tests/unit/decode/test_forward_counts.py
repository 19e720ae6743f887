"""The toy canvas of 19 positions whose confidences rise evenly from 0.55 to 0.97.

    c(p) = 0.55 + 0.42 p / 18, prompt of 3, answer of 16 in two blocks of 8

    position   3    4    5    6    7    8    9   10 |  11   12   13   14   15   16   17   18
    c        .620 .643 .667 .690 .713 .737 .760 .783 | .807 .830 .853 .877 .900 .923 .947 .970

The model is context free, so caches change nothing and every count can be worked out by hand.
"""

from __future__ import annotations

import pytest
import torch

from doubles import FakeDenoiser, births, model_of, per_block, sure_of
from unmask import generate
from unmask.decode.proposal import Proposal
from unmask.decode.slate import Slate
from unmask.decode.strategies.threshold import Threshold

CONFIDENCES = [0.55 + 0.42 * place / 18 for place in range(19)]
every_cache = pytest.mark.parametrize("cache", ["none", "prefix", "dual"])


def decoded(shift=0, **overrides):
    fake = FakeDenoiser(sure_of(CONFIDENCES), shift=shift)
    [result] = generate(model_of(fake, 16, 8), [0, 0, 0], "fast-dllm", **overrides)
    assert len(fake.calls) == result.forwards
    return result


@every_cache
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize(
    ("threshold", "forwards"),
    [
        # Nothing of block 0 reaches 0.89: 8. In block 1 15 to 18 at once, then 14, 13, 12, 11: 5.
        (0.89, (8, 5)),
        # 7, 8, 9, 10 at once, then 6, 5, 4, 3; all of block 1 at once.
        (0.7, (5, 1)),
        (0.1, (1, 1)),
        (1.0, (8, 8)),
    ],
)
def test_threshold(cache, shift, threshold, forwards):
    assert per_block(decoded(shift, cache=cache, threshold=threshold), 8) == forwards


def test_threshold_writes_all_that_pass_and_then_the_best_one_by_one():
    assert births(decoded(threshold=0.89))[8:] == [[15, 16, 17, 18], [14], [13], [12], [11]]


def test_a_confidence_that_equals_the_threshold_passes():
    """Compared with itself: no arithmetic on the way there that a CPU could do otherwise."""
    proposal = Proposal(sure_of([0.6, 0.7, 0.6, 0.5])[None])
    bar = proposal.confidence_BA[0, 0].item()
    everything, age = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, dtype=torch.long)
    accept = Threshold(bar)(proposal, Slate(everything, everything, age, age))
    assert accept.tolist() == [[True, True, True, False]]


@every_cache
@pytest.mark.parametrize(
    ("factor", "compat", "forwards"),
    [
        # The largest n with (n + 1)(1 - c(n)) < f. Block 0, by two: 3 x 0.240 for (10, 9),
        # 3 x 0.287 for (8, 7), 3 x 0.333 = 1.00 for (6, 5), then 4 and 3 alone: 5.
        # Block 1: 6 x 0.123 = 0.74 for 18 to 14, 7 x 0.147 = 1.03 fails; then 4 x 0.193 for all: 2.
        (1.01, None, (5, 2)),
        # The reference takes two masks together whenever they are the last two: 4 and 3.
        (1.01, "reference", (4, 2)),
        # (6, 5) fails, so that 6, 5, 4 and 3 come alone.
        (0.98, None, (6, 2)),
        # 3 x 0.240 < 0.75 for (10, 9), 3 x 0.287 fails: six more alone: 7.
        # 6 x 0.123 < 0.75 for five; (13, 12) by 3 x 0.17, 4 x 0.193 = 0.77 fails; 11: 3.
        (0.75, None, (7, 3)),
        # (10, 9), 8, 7, 6, 5, (4, 3): 6. Five, and the last three fail at the last of them: 2.
        (0.75, "reference", (6, 2)),
    ],
)
def test_factor(cache, factor, compat, forwards):
    assert per_block(decoded(cache=cache, factor=factor, compat=compat), 8) == forwards


def test_factor_writes_the_two_most_confident_first():
    assert births(decoded(factor=1.0))[0] == [9, 10]


@every_cache
@pytest.mark.parametrize(
    ("delta", "forwards"),
    [
        # sum of the n largest - (n - 1) against 1 - c(n). Block 0: n = 3: 0.280 - 0.263 > 0, n = 4
        # fails. (7, 6): 0.403 - 0.310 > 0; n = 3: 0.070 - 0.333 fails. Then 5, 4, 3 alone: 5.
        # Block 1: n = 7: 0.300 - 0.170 > 0, n = 8: 0.107 - 0.193 fails; 11: 2.
        (0.0, (5, 2)),
        # (10, 9): 0.543 - 0.240 > 0.25, then (8, 7): 0.450 - 0.287 fails: six alone: 7.
        # n = 6: 0.470 - 0.147 > 0.25, n = 7 fails; (12, 11): 0.637 - 0.193 passes: 2.
        (0.25, (7, 2)),
    ],
)
def test_frechet(cache, delta, forwards):
    assert per_block(decoded(cache=cache, delta=delta), 8) == forwards


def test_frechet_writes_the_three_most_confident_first():
    assert births(decoded(delta=0.0))[0] == [8, 9, 10]


def test_low_entropy_writes_what_is_certain_enough():
    # Two answers of one bit and less: H(0.5) = 0.693 nats, H(0.9) = 0.325, H(0.97) = 0.135.
    logits = sure_of([0.5, 0.97, 0.9, 0.5], vocabulary=3)
    model = model_of(FakeDenoiser(logits), 3, 3)
    [result] = generate(model, [0], strategy="low_entropy", threshold=0.33)
    assert births(result) == [[1, 2], [3]]


def test_margin_writes_the_largest_gap_first_and_not_the_largest_confidence():
    # Position 1: 0.50 against 0.45; position 2: 0.40 against 0.20 three times.
    logits = sure_of([0.5, 0.5, 0.4], tokens=[0, 0, 0], vocabulary=5)
    rest = [[0.5, 0.45, 0.03, 0.02], [0.5, 0.45, 0.03, 0.02], [0.4, 0.2, 0.2, 0.2]]
    for place, q in enumerate(rest):
        for token, value in enumerate(q):
            logits[place, token] = float(value)
    logits[:, :4] = logits[:, :4].log()
    found = {
        strategy: births(
            generate(model_of(FakeDenoiser(logits), 2, 2), [0], "vanilla", strategy=strategy)[0]
        )
        for strategy in ("margin", "fixed_steps")
    }
    assert found == {"margin": [[2], [1]], "fixed_steps": [[1], [2]]}


def test_random_order_depends_on_the_seed_alone():
    orders = [
        decoded(strategy="random_order", seed=seed, steps=16, early_stop=False).trajectory.order()
        for seed in (1, 1, 2)
    ]
    assert orders[0].tolist() == orders[1].tolist() != orders[2].tolist()
