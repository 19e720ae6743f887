"""Blocks, steps and lengths that do not divide, or do not fit into the model."""

from __future__ import annotations

import pytest

import unmask
from checkpoints import LENGTH, write_llada
from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import InputError, PromptError, generate


def toy(length=10, block=4, **overrides):
    fake = FakeDenoiser(sure_of([0.6 + 0.01 * place for place in range(length + 1)]))
    return generate(model_of(fake, length, block), [0], "vanilla", **overrides)[0]


def test_the_last_block_may_be_shorter():
    # 10 tokens in blocks of 4, 4 and 2; the surest is the last of each.
    assert toy().trajectory.order().tolist() == [4, 3, 2, 1, 8, 7, 6, 5, 10, 9]


def test_a_block_may_be_longer_than_the_answer():
    assert toy(length=3, block=32).trajectory.order().tolist() == [3, 2, 1]


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
def test_a_shorter_last_block_works_with_every_cache(name, cache, models):
    limits = {"max_new_tokens": 10, "block_length": 4, "early_stop": False}
    [result] = generate(models[name], [1, 2], "fast-dllm", cache=cache, **limits)
    assert (result.trajectory.born_L[2:] > 0).all()
    assert len(result.token_ids) == 10


@pytest.mark.parametrize("steps", [1, 4, 10, 31])
def test_steps_that_blocks_cannot_share_are_refused_with_the_next_that_they_can(steps):
    # 10 tokens in blocks of 4 are 3 blocks.
    near = -(-steps // 3) * 3
    with pytest.raises(InputError, match=rf"steps={steps} .* 3 blocks; .*say {near}$"):
        toy(steps=steps)


def test_the_whole_schedule_is_one_block():
    result = toy(schedule="whole", steps=5)
    assert births(result) == [[9, 10], [7, 8], [5, 6], [3, 4], [1, 2]]


def test_left_to_right_writes_one_position_after_the_other():
    result = toy(schedule="left_to_right")
    assert result.trajectory.order().tolist() == list(range(1, 11))


@pytest.fixture
def short(tmp_path):
    """A model that takes 96 positions."""
    assert LENGTH == 96
    return unmask.load(write_llada(tmp_path), device="cpu")


def test_a_canvas_may_be_as_long_as_the_model_takes(short):
    [result] = generate(short, [1] * 90, max_new_tokens=6, block_length=6, threshold=0.0)
    assert len(result.token_ids) == 6


def test_a_canvas_one_too_long_is_refused_with_the_room_there_is(short):
    with pytest.raises(
        PromptError, match=r"90 prompt tokens and max_new_tokens=7 .* 96 .*at most 6"
    ):
        generate(short, [1] * 90, max_new_tokens=7, block_length=7)


def test_a_prompt_that_leaves_no_room_is_refused(short):
    with pytest.raises(PromptError, match=r"96 prompt tokens .*shorten the prompt"):
        generate(short, [1] * 96, max_new_tokens=1)


def test_a_prompt_longer_than_the_model_is_refused(short):
    with pytest.raises(PromptError, match=r"97 tokens are too many: .* at most 96"):
        generate(short, [1] * 97, max_new_tokens=1)


def test_one_prompt_too_long_is_refused_before_any_is_decoded(short):
    with pytest.raises(PromptError, match="95 prompt tokens"):
        generate(short, [[1], [1] * 95], max_new_tokens=2)


def test_an_answer_of_one_token_is_one_forward(short):
    [result] = generate(short, [1, 2], max_new_tokens=1)
    assert (len(result.token_ids), result.forwards) == (1, 1)


def test_prompt_and_answer_of_a_llada_have_4096_positions_in_all(tmp_path):
    model = unmask.load(write_llada(tmp_path, max_sequence_length=4096), device="cpu")
    with pytest.raises(PromptError, match=r"4000 prompt tokens .* at most 96"):
        generate(model, [1] * 4000, max_new_tokens=97)
    [result] = generate(model, [1] * 4000, max_new_tokens=96, block_length=96, threshold=0)
    assert (len(result.token_ids), result.forwards) == (96, 1)
