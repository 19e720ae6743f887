"""The delayed cache: which positions are fed when, worked out by hand; and what it never does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles import ScheduledDenoiser, births, model_of
from unmask import generate

NEVER = 10**6
prompts = st.lists(st.integers(0, 123), min_size=1, max_size=12)
every_model = pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])


def decoded(sure, *, shift=0, prompt=4, preset="d3llm", **overrides):
    """An answer whose token at every position is the number of the position."""
    tokens = list(range(prompt + len(sure)))
    fake = ScheduledDenoiser(tokens, [1] * prompt + list(sure), shift=shift)
    overrides = {"threshold": 0.5, **overrides}
    [result] = generate(model_of(fake, len(sure), 4), tokens[:prompt], preset, **overrides)
    return result


@pytest.mark.parametrize(
    ("delay", "fed"),
    [
        (0, [20, 16, 12, 8]),
        # The prompt settles at once; the first block is seen at 2, waits (all fed), is kept at 3.
        (1, [20, 20, 16, 12]),
        (2, [20, 20, 20, 16]),
        (9, [20, 20, 20, 20]),
    ],
)
@pytest.mark.parametrize("compat", [None, "reference"])
def test_how_much_is_fed_when_all_is_sure_at_once(delay, fed, compat):
    assert decoded([1] * 16, delay=delay, compat=compat).trajectory.fed.tolist() == fed


# The first two blocks finish at forward 3, together; 5 is the token owed at forward 2.
TOGETHER = [1, NEVER, 3, 3, 1, 1, 1, 3, *[NEVER] * 8]


@pytest.mark.parametrize(
    ("compat", "fed"),
    [
        # Forward 4 sees both: all is fed, then both are kept.
        (None, [20, 16, 16, 20, 16, 8]),
        # LLaDA's reference: the second waits for the first, and so it is fed once more.
        ("reference", [20, 16, 16, 20, 16, 12]),
    ],
)
def test_blocks_that_finish_together(compat, fed):
    result = decoded(TOGETHER, compat=compat)
    assert births(result)[2] == [6, 7, 11]
    assert result.trajectory.fed.tolist()[:6] == fed


def test_a_periodic_refresh_feeds_all_and_settles_nobody():
    # Nobody finishes before forward 8: the prompt alone is settled.
    sure = [NEVER] * 4 + [1] * 4
    assert decoded(sure, refresh=3).trajectory.fed.tolist()[:4] == [12, 8, 12, 8]


@pytest.mark.parametrize("cache", ["delayed", "sliding"])
@given(
    sure=st.lists(st.integers(1, 9), min_size=14, max_size=14),
    delay=st.integers(0, 3),
    refresh=st.sampled_from([None, 1, 2, 3, 4]),
)
@settings(max_examples=300)
def test_a_shifted_model_never_decodes_from_the_wrong_row(cache, sure, delay, refresh):
    result = decoded(sure, shift=1, cache=cache, delay=delay, refresh=refresh)
    assert result.token_ids == list(range(4, 18))


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize("preset", ["fast-dllm", "d3llm"])
@given(sure=st.lists(st.integers(1, 9), min_size=14, max_size=14))
@settings(max_examples=100)
def test_nor_with_the_caches_of_fast_dllm(cache, preset, sure):
    result = decoded(sure, shift=1, preset=preset, cache=cache)
    assert result.token_ids == list(range(4, 18))


def test_the_reference_does():
    """Else the law above would prove nothing: position 4 is decoded from its own row, about 5."""
    sure = [3, *[1] * 13]
    assert decoded(sure, shift=1, compat="reference").token_ids[0] == 5


@every_model
@given(prompt=prompts, delay=st.integers(0, 3), length=st.sampled_from([8, 13, 16]))
def test_a_refresh_at_every_forward_is_no_cache(name, prompt, delay, length, exact_models):
    limits = {"max_new_tokens": length, "block_length": 4, "threshold": 0.8}
    model = exact_models[name]
    [plain] = generate(model, prompt, "d3llm", cache="none", **limits)
    [fresh] = generate(model, prompt, "d3llm", delay=delay, refresh=1, **limits)
    [patient] = generate(model, prompt, "d3llm", delay=length + 1, **limits)
    assert fresh.token_ids == plain.token_ids == patient.token_ids
    assert births(fresh) == births(plain) == births(patient)


@every_model
def test_without_refreshes_the_cache_matters(name, models):
    """Else the law above would prove nothing."""
    limits = {"max_new_tokens": 32, "block_length": 8, "threshold": 0.8}
    prompt = [60, 61, 62]
    [plain] = generate(models[name], prompt, "d3llm", cache="none", **limits)
    [cached] = generate(models[name], prompt, "d3llm", delay=0, **limits)
    assert births(cached) != births(plain)
