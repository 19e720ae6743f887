"""The sliding cache: what is read was fed since it was written; refreshed each time it is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles import ScheduledDenoiser, births, model_of
from laws.simulate import build, canvases, walk
from unmask import generate
from unmask.decode.plan import FRESH

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("schedule", ["blocks", "pipelined", "whole"])
@given(
    canvas=canvases(),
    length=st.integers(1, 12),
    seed=seeds,
    delay=st.integers(0, 3),
    horizon=st.none() | st.integers(0, 3),
)
def test_a_token_is_fed_once_more_after_it_was_written(
    schedule, canvas, length, seed, delay, horizon
):
    """Else its stored keys were still those of a mask, or none at all."""
    where = build("schedule", schedule, block_length=length, horizon=horizon)
    fed_at = [0] * len(canvas)
    for turn in walk(canvas, where, seed, build("cache", "sliding", delay=delay)):
        now = turn.canvas.step + 1
        for start, stop in turn.plan.read:
            for position in range(start, stop):
                assert fed_at[position] > max(turn.canvas.born_L[position], 0)
        for position in range(*turn.plan.feed):
            fed_at[position] = now


@pytest.mark.parametrize(
    ("delay", "fed"),
    # Blocks of 4 behind a prompt of 4, a block a forward: all, then two blocks, with a delay three.
    [(0, [20, 8, 8, 8]), (1, [20, 8, 12, 12])],
)
def test_how_much_is_fed_when_all_is_sure_at_once(delay, fed):
    fake = ScheduledDenoiser([1] * 20, [1] * 20)
    options = {"cache": "sliding", "delay": delay, "threshold": 0.5}
    [result] = generate(model_of(fake, 16, 4), [1, 2, 3, 4], "d3llm", **options)
    assert result.trajectory.fed.tolist() == fed


def test_a_canvas_that_is_longer_than_its_text_costs_nothing_more():
    """Blocks of 4; the text ends in the third. A horizon of one block: two at first, then the block
    before, its own and the new one. The padding that is in sight is fed once, and no other."""
    text, end = [1, 2, 3, 4, 1, 2, 3, 4, 1], 5
    fed = []
    for length in (24, 48, 96):
        tokens = [1, 2, 3, 4, *text, end, *[0] * (length - 10)]
        fake = ScheduledDenoiser(tokens, [1] * len(tokens), end_ids=[end])
        options = {"cache": "sliding", "horizon": 1, "threshold": 0.5}
        [result] = generate(model_of(fake, length, 4), [1, 2, 3, 4], "d3llm", **options)
        assert result.tokens == 10
        fed.append(result.trajectory.fed.tolist())
    assert fed == [[12, 12, 12]] * 3


@given(data=st.data(), canvas=canvases(), length=st.integers(1, 12), horizon=st.integers(0, 20))
def test_padding_in_the_place_of_text_is_fed_before_it_is_read(data, canvas, length, horizon):
    """An end among text that was written ahead: what stood behind it had other keys."""
    where = build("schedule", "pipelined", block_length=length, horizon=horizon)
    cache = build("cache", "sliding")
    fed_at, changed_at = np.zeros((2, len(canvas)), dtype=int)
    memory = FRESH
    while not canvas.done:
        plan, memory = cache.plan(canvas, where(canvas), memory)
        for start, stop in plan.read:
            assert (fed_at[start:stop] > changed_at[start:stop]).all()
        fed_at[slice(*plan.feed)] = canvas.step + 1
        at = data.draw(st.sets(st.sampled_from(plan.ask.tolist()), min_size=1))
        written = canvas.commit(np.sort(list(at)), np.ones(len(at), dtype=np.int64))
        ends = np.flatnonzero(written.born_L[canvas.given :] > 0) + canvas.given
        if len(ends) and data.draw(st.booleans()):
            end = data.draw(st.sampled_from(ends.tolist()))
            written = written.close(end + 1, 0, written=True)
        changed_at[written.tokens_L != canvas.tokens_L] = written.step
        canvas = written


def test_text_that_gives_way_to_padding_is_fed_once_more():
    """Two blocks of 8, the second written at forward 2; the end comes in the first, at 4."""
    end, never = 5, 99
    tokens = [1, 2, 3, 4, 1, 2, 3, 4, 1, end, *[2] * 10]
    sure = [1] * 4 + [1, never, never, never, never, 4, never, never] + [1] * 8
    fake = ScheduledDenoiser(tokens, sure, end_ids=[end])
    options = {"cache": "sliding", "threshold": 0.5}
    [result] = generate(model_of(fake, 16, 8), [1, 2, 3, 4], "d3llm", **options)
    assert result.tokens == 6
    assert result.trajectory.fed.tolist() == [20, 16, 16, 16, 16, 8]


@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
@pytest.mark.parametrize("preset", ["fast-dllm", "d3llm"])
@given(prompt=st.lists(st.integers(0, 123), min_size=1, max_size=12))
def test_a_refresh_at_every_forward_is_no_cache(name, preset, prompt, exact_models):
    limits = {"max_new_tokens": 16, "block_length": 4, "threshold": 0.8}
    model = exact_models[name]
    [plain] = generate(model, prompt, preset, cache="none", **limits)
    [fresh] = generate(model, prompt, preset, cache="sliding", refresh=1, **limits)
    assert fresh.token_ids == plain.token_ids
    assert births(fresh) == births(plain)


def test_a_horizon_feeds_less_of_a_long_canvas(llada):
    """By a third or more for every forward."""
    options = {"max_new_tokens": 224, "block_length": 16, "cache": "none", "early_stop": False}
    [whole] = generate(llada, [5, 6, 7], "fast-dllm", threshold=0.5, **options)
    [near] = generate(llada, [5, 6, 7], "fast-dllm", threshold=0.5, horizon=1, **options)
    assert near.fed_positions / near.forwards < 0.7 * whole.fed_positions / whole.forwards
