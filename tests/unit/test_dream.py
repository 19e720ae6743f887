"""Shifted models (Dream): row i - 1 speaks about token i."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import generate
from unmask.decode.plan import Plan, widen

every_cache = pytest.mark.parametrize("cache", ["none", "prefix", "dual"])


def plan(feed, read, ask):
    return Plan(feed, read, np.array(ask))


def test_aligned_logits_repeat_the_first_row_and_lose_the_last(dream):
    ids = [4, 8, 15, 16, 23]
    with torch.inference_mode():
        raw = dream.denoiser(torch.tensor([ids]), torch.arange(5)[None])[0]
    assert torch.equal(dream.logits(ids), raw[[0, 0, 1, 2, 3]])


def test_a_block_is_widened_to_the_left_when_its_first_position_is_asked():
    found = widen(plan((8, 12), ((0, 8), (12, 20)), [8, 10]), 1)
    assert (found.feed, found.read) == ((7, 12), ((0, 7), (12, 20)))


def test_a_block_whose_first_position_is_written_is_not_widened():
    given = plan((8, 12), ((0, 8), (12, 20)), [9, 10])
    assert widen(given, 1) is given


@pytest.mark.parametrize(
    ("given", "shift"),
    [
        (plan((8, 12), ((0, 8),), [8]), 0),  # an unshifted model
        (plan((0, 12), (), [0]), 1),  # nothing stands on the left
        (plan((8, 12), ((0, 8),), []), 1),  # nobody is asked
    ],
)
def test_other_plans_stay_as_they_are(given, shift):
    assert widen(given, shift) is given


@every_cache
def test_the_first_position_of_a_block_is_decided_like_any_other(cache):
    """Position 5 opens the second block and is its least sure: it comes last, not first."""
    sure = [0.5, 0.9, 0.8, 0.7, 0.6, 0.6, 0.9, 0.8, 0.7]
    model = model_of(FakeDenoiser(sure_of(sure), shift=1), 8, 4)
    [result] = generate(model, [0], "vanilla", cache=cache)
    assert result.trajectory.order().tolist() == [1, 2, 3, 4, 6, 7, 8, 5]


@every_cache
def test_tokens_are_read_from_the_row_to_the_left(cache):
    tokens = [0, 1, 2, 3, 4, 5, 6, 1, 2]
    fake = FakeDenoiser(sure_of([0.8] * 9, tokens=tokens), shift=1)
    [result] = generate(model_of(fake, 8, 4), [0], "fast-dllm", cache=cache, threshold=0.9)
    assert result.token_ids == tokens[1:]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_the_reference_writes_the_first_position_of_a_block_at_its_refresh(cache):
    sure = [0.5, 0.6, 0.95, 0.95, 0.95, 0.6, 0.95, 0.95, 0.95]
    model = model_of(FakeDenoiser(sure_of(sure), shift=1), 8, 4)
    [result] = generate(model, [0], cache=cache, threshold=0.9, compat="reference")
    assert births(result) == [[1], [2, 3, 4], [5], [6, 7, 8]]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize(
    ("steps", "written"),
    [
        # T = steps / 8 a block; after the refresh int(m (1 - t[i+1] / t[i])) on a grid from 1 to
        # 0.001 in T steps, the last step takes the rest. T = 32, m = 31, i = 1: t = 1 - 0.999 i / T
        # gives 31 (1 - 0.93756 / 0.96878) = 0.999 and so nothing.
        (256, [1, 0, *[1] * 29, 2]),
        (128, [1, *[2] * 14, 3]),
        (64, [1, 4, 4, 4, 4, 4, 5, 6]),
    ],
)
def test_the_reference_schedule_under_a_cache(cache, steps, written):
    sure = [0.5 + 0.4 * ((7 * place) % 31) / 31 for place in range(257)]
    model = model_of(FakeDenoiser(sure_of(sure), shift=1), 256, 32)
    [result] = generate(
        model, [0], cache=cache, strategy="fixed_steps", steps=steps, compat="reference"
    )
    assert [len(places) for places in births(result)] == written * 8
    assert result.forwards == steps


@every_cache
@pytest.mark.parametrize("compat", [None, "reference"])
def test_one_step_a_block_leaves_no_masks(cache, compat):
    """The reference leaves 31 masks of 32 here; that is not replayed."""
    model = model_of(FakeDenoiser(sure_of([0.6] * 65), shift=1), 64, 32)
    [result] = generate(model, [0], cache=cache, strategy="fixed_steps", steps=2, compat=compat)
    assert (result.trajectory.born_L[1:] > 0).all()


def test_a_bf16_model_is_judged_at_float32_thresholds():
    """0.8984375 is what 0.9 becomes in bf16, where the reference compares: here it is below."""
    logits = sure_of([0.8984375] * 3).bfloat16()
    sure = logits.float().softmax(-1).amax().item()
    assert 0.89 < sure < 0.9
    [result] = generate(model_of(FakeDenoiser(logits), 2, 2), [0], threshold=0.9)
    assert result.forwards == 2
