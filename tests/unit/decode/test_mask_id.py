"""The mask id is never written, whatever the model prefers, and is a token like any in a prompt."""

from __future__ import annotations

import pytest
import torch

from doubles import MASK, FakeDenoiser, model_of, sure_of
from unmask import generate

RULES = [
    {"strategy": "threshold", "threshold": 1.0},
    {"strategy": "threshold", "threshold": 0.0},
    {"strategy": "low_entropy", "threshold": 0.0},
    {"strategy": "factor", "factor": 0.1},
    {"strategy": "factor", "factor": 50.0},
    {"strategy": "frechet", "delta": 1.0},
    {"strategy": "fixed_steps"},
    {"strategy": "fixed_steps", "steps": 2},
    {"strategy": "margin"},
    {"strategy": "random_order", "seed": 0},
    {"temperature": 5.0, "seed": 0},
]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule)))
every_cache = pytest.mark.parametrize("cache", ["none", "prefix", "dual"])


def prefers_the_mask():
    """Logits that put nearly everything on the mask id."""
    logits = sure_of([0.6 + 0.02 * place for place in range(11)])
    logits[:, MASK] = 50.0
    return logits


@every_rule
@every_cache
def test_a_model_that_prefers_the_mask_finishes_without_writing_it(rule, cache):
    model = model_of(FakeDenoiser(prefers_the_mask()), 8, 4)
    [result] = generate(model, [0, 1, 2], "fast-dllm", cache=cache, **rule)
    assert MASK not in result.token_ids
    assert (result.trajectory.born_L[3:] > 0).all()


def test_forbidding_the_mask_leaves_the_share_of_the_other_tokens():
    """Confidence is renormalised: 0.6 of what is not mask stays 0.6."""
    model = model_of(FakeDenoiser(prefers_the_mask()), 8, 4)
    # c = 0.66, 0.68, ..., 0.80 at 3 ... 10: the second half of the last block passes 0.77.
    [result] = generate(model, [0, 1, 2], "fast-dllm", threshold=0.77)
    assert result.forwards == 4 + 3


@every_rule
@every_cache
@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
def test_no_mask_is_left_in_any_answer(name, rule, cache, models):
    limits = {"max_new_tokens": 8, "block_length": 4, "early_stop": False}
    [result] = generate(models[name], [3, 1, 4], "fast-dllm", cache=cache, **limits, **rule)
    assert models[name].card.mask_id not in result.token_ids


@every_cache
@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
def test_a_mask_id_in_the_prompt_is_a_token_and_stays(name, cache, models):
    mask = models[name].card.mask_id
    prompt = [3, mask, 4, mask]
    limits = {"max_new_tokens": 8, "block_length": 4, "early_stop": False}
    [result] = generate(models[name], prompt, "vanilla", cache=cache, **limits)
    assert result.trajectory.tokens_L[:4].tolist() == prompt
    assert result.forwards == 8


def test_a_mask_id_in_the_prompt_is_fed_as_it_is():
    fake = FakeDenoiser(sure_of([0.9] * 6))
    generate(model_of(fake, 2, 2), [0, MASK, 1, MASK], "vanilla")
    assert fake.calls[0].ids_BQ.tolist() == [[0, MASK, 1, MASK, MASK, MASK]]
    assert torch.equal(fake.calls[0].ask_BA, torch.tensor([[4, 5]]))
