"""What is counted: tokens up to the first end, forwards, positions fed; never the prompt."""

from __future__ import annotations

import pytest

from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import generate

END = 5


def answer(tokens, prompt, **overrides):
    length = len(prompt) + len(tokens)
    fake = FakeDenoiser(sure_of([0.9] * length, tokens=[*prompt, *tokens]), end_ids=[END])
    [result] = generate(model_of(fake, len(tokens), 4), prompt, **overrides)
    return result, fake


@pytest.mark.parametrize("prompt", [[0], [0, 1, 2], [END, END]])
@pytest.mark.parametrize(
    ("tokens", "counted"),
    [
        ([1, 2, END, 1, 1, 1, 1, 1], 3),  # the end token itself counts
        ([END, 1, 1, 1, 1, 1, 1, 1], 1),
        ([1, 2, 3, 4, 1, 2, 3, END], 8),
        ([1, 2, 3, 4, 1, 2, 3, 4], 8),  # no end at all
        ([1, END, 1, END, 1, 1, 1, 1], 2),  # the first one
    ],
)
@pytest.mark.parametrize("preset", ["vanilla", "fast-dllm"])
def test_tokens_are_counted_up_to_the_first_end_and_without_the_prompt(
    prompt, tokens, counted, preset
):
    assert answer(tokens, prompt, preset=preset)[0].tokens == counted


def test_forwards_are_calls_of_the_model():
    result, fake = answer([1, 2, 3, 4, 1, 2, 3, 4], [0], preset="fast-dllm", threshold=0.99)
    # One token a forward; the refresh of each block is one of them.
    assert result.forwards == len(fake.calls) == len(births(result)) == 8


def test_fed_positions_of_a_dual_cache_are_two_refreshes_and_the_blocks():
    result, fake = answer([1, 2, 3, 4, 1, 2, 3, 4], [0], preset="fast-dllm", threshold=0.99)
    # Blocks of 4 on a canvas of 9: 9 + 3 x 4 each.
    assert result.trajectory.fed.tolist() == [9, 4, 4, 4, 9, 4, 4, 4]
    assert result.fed_positions == sum(call.ids_BQ.shape[1] for call in fake.calls) == 42


def test_fed_positions_of_a_prefix_cache_include_the_masks_behind():
    result, _ = answer([1, 2, 3, 4, 1, 2, 3, 4], [0], cache="prefix", threshold=0.99)
    assert result.trajectory.fed.tolist() == [9, 8, 8, 8, 9, 4, 4, 4]


def test_fed_positions_without_a_cache_are_the_canvas_every_time():
    result, _ = answer([1, 2, 3, 4, 1, 2, 3, 4], [0], preset="vanilla")
    assert result.trajectory.fed.tolist() == [9] * 8


def test_tokens_per_forward_is_their_ratio():
    result, _ = answer([1, 2, 3, END, 1, 1, 1, 1], [0], preset="vanilla", steps=2)
    # Two forwards of four tokens; four count.
    assert (result.tokens, result.forwards, result.tokens_per_forward) == (4, 2, 2.0)


def test_rows_of_a_batch_count_for_themselves():
    fake = FakeDenoiser(sure_of([0.9] * 12, tokens=[1] * 12))
    results = generate(model_of(fake, 4, 4), [[0], [0] * 8], "vanilla")
    assert [result.fed_positions for result in results] == [4 * 5, 4 * 12]
    assert [result.forwards for result in results] == [4, 4]
