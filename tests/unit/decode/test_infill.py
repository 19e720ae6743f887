"""Gaps between given text."""

from __future__ import annotations

import pytest

import unmask
from checkpoints import write_causal
from doubles import MASK, FakeDenoiser, births, model_of, sure_of
from unmask import Infill, PromptError, generate
from unmask.canvas.canvas import Canvas

END, PAD = 5, 0
every_cache = pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
every_model = pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])


def toy(infill, sure=0.9, block=4, **overrides):
    """An infilled answer of a model that would write 0, 1, 0, 1, ... everywhere."""
    fake = FakeDenoiser(sure_of([sure] * 24), end_ids=[END])
    overrides = {"threshold": 0.99, **overrides}
    [result] = generate(model_of(fake, 8, block), infill, "fast-dllm", **overrides)
    return result


def test_a_prefix_a_gap_and_a_suffix():
    # The prompt is position 0, so the gap is 3 and 4: tokens 1 and 0.
    result = toy(Infill([4, 4], 2, [6], prompt=[3]))
    assert result.token_ids == [4, 4, 1, 0, 6]


def test_several_gaps_in_any_place():
    # Answer at 1 ... 8: gap, 4, gap of two, 6, 6, gap, gap.
    result = toy(Infill(1, [4], 2, [6, 6], 1, 1, prompt=[3]))
    assert result.token_ids == [1, 4, 1, 0, 6, 6, 1, 0]


def test_gaps_side_by_side_are_one_gap():
    assert toy(Infill([4], 1, 2, prompt=[3])).token_ids == toy(Infill([4], 3, prompt=[3])).token_ids


def test_only_gaps_are_written_and_given_text_is_born_at_zero():
    trajectory = toy(Infill([4], 1, [4], 2, prompt=[3])).trajectory
    assert [int(born) for born in trajectory.born_L if born == 0] == [0, 0, 0]
    assert sorted(p for places in births_of(trajectory) for p in places) == [2, 4, 5]


def births_of(trajectory):
    return [
        [p for p, born in enumerate(trajectory.born_L) if born == step]
        for step in range(1, trajectory.steps + 1)
    ]


@every_model
@every_cache
@pytest.mark.parametrize("schedule", ["blocks", "whole", "left_to_right"])
def test_given_text_never_changes(name, cache, schedule, models):
    given = {0: 50, 1: 51, 4: 52, 9: 53, 10: 54, 11: 55, 17: 56}
    infill = Infill([50, 51], 2, [52], 4, [53, 54, 55], 5, [56], 3, prompt=[9, 8, 7])
    options = {"cache": cache, "schedule": schedule, "threshold": 0.4}
    if schedule == "blocks":
        options["block_length"] = 4
    [result] = generate(models[name], infill, "fast-dllm", **options)
    assert {at: result.token_ids[at] for at in given} == given
    assert len(result.token_ids) == 21
    assert models[name].card.mask_id not in result.token_ids


@every_model
def test_given_text_is_seen_by_the_model(name, models):
    """The first gap depends on what stands behind it."""
    found = {
        tuple(generate(models[name], Infill(4, [end] * 4, prompt=[9, 8]))[0].token_ids[:4])
        for end in (3, 40, 77, 110)
    }
    assert len(found) > 1


@every_model
@every_cache
def test_infilled_rows_of_a_batch_are_those_alone(name, cache, exact_models):
    model = exact_models[name]
    asked = [
        Infill([4], 3, [5], 2, prompt=[1]),
        Infill(2, [9] * 5, 3, prompt=[1, 2, 3]),
        [5, 6, 7],
    ]
    options = {"cache": cache, "block_length": 3, "threshold": 0.5, "max_new_tokens": 6}
    together = generate(model, asked, **options)
    alone = [generate(model, [one], **options)[0] for one in asked]
    assert [r.token_ids for r in together] == [r.token_ids for r in alone]
    assert [births(r) for r in together] == [births(r) for r in alone]


@every_cache
def test_blocks_that_are_given_in_full_cost_nothing(cache):
    # Blocks of 4: given, two gaps and two given, given, one gap. Three gaps, one token each.
    result = toy(Infill([2] * 4, 2, [2] * 6, 1, prompt=[3]), cache=cache)
    assert births(result) == [[5], [6], [13]]


def test_a_block_with_gaps_shares_its_gaps_by_steps():
    # Two blocks of 4 with two gaps each, in two steps: both gaps of a block at once.
    result = toy(Infill(2, [4, 4], 2, [4, 4], prompt=[3]), threshold=None, steps=2)
    assert births(result) == [[1, 2], [5, 6]]


def test_the_length_of_the_infill_overrules_max_new_tokens():
    assert len(toy(Infill([4], 9, [4], prompt=[3]), max_new_tokens=2).token_ids) == 11


def test_an_end_token_before_given_text_ends_nothing_and_one_behind_it_does():
    fake = FakeDenoiser(sure_of([0.9] * 8, tokens=[END] * 8), end_ids=[END])
    [result] = generate(model_of(fake, 8, 4), Infill(2, [1], 2, prompt=[3]), threshold=0.99)
    assert result.token_ids == [END, END, 1, END, PAD]
    assert result.forwards == 3
    assert result.tokens == 3  # what was given is not counted


def test_an_answer_with_a_given_beginning_ends_as_any_other():
    fake = FakeDenoiser(sure_of([0.9] * 12, tokens=[0, 1, 2, END, *[3] * 8]), end_ids=[END])
    [result] = generate(model_of(fake, 8, 4), Infill([1], 8, prompt=[0]), threshold=0.99)
    assert result.token_ids == [1, 2, END, *[PAD] * 6]
    assert (result.tokens, result.forwards) == (2, 2)


def test_steps_are_shared_by_the_blocks_of_the_infill():
    result = toy(Infill([1], 6, [2], prompt=[3]), threshold=None, steps=4, max_new_tokens=7)
    assert result.forwards == 4


def test_a_mask_id_that_is_given_is_text_and_stays():
    assert toy(Infill([MASK], 1, [MASK], prompt=[3])).token_ids == [MASK, 0, MASK]


@every_model
def test_a_prompt_may_be_left_out_of_an_infill(name, models):
    [result] = generate(models[name], Infill([4, 5], 2, [6]))
    assert result.trajectory.prompt_length == 0
    assert (result.token_ids[:2], result.token_ids[4:]) == ([4, 5], [6])


def test_a_full_canvas_is_an_error():
    with pytest.raises(PromptError, match="no masks to fill; leave at least one gap"):
        toy(Infill([4, 4], prompt=[3]))


@pytest.mark.parametrize(
    ("infill", "message"),
    [
        (Infill(prompt=[3]), "the infill has no parts"),
        (Infill([4], 0, prompt=[3]), "a gap of 0 tokens"),
        (Infill([4], -2, prompt=[3]), "a gap of -2 tokens"),
        (Infill([4], bool(1), prompt=[3]), "a gap of True tokens"),
        (Infill([4], 1.5, prompt=[3]), r"infill part 1\.5"),
        (Infill([4, 99], 1, prompt=[3]), "token id 99 is outside"),
        (Infill([4, "a"], 1, prompt=[3]), "token id 'a' is outside"),
        (Infill("text", 1, prompt=[3]), "fake has no tokenizer files"),
        (Infill([4], 1, prompt="text"), "fake has no tokenizer files"),
        (
            Infill([4], 30, prompt=[3]),
            "an infill of 31 exceed the 24 that .* takes; use an infill of at most 23",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_infill_that_cannot_be_is_refused(infill, message):
    with pytest.raises(PromptError, match=message):
        toy(infill)


def test_a_causal_model_fills_gaps_from_what_stands_before_them(tmp_path):
    model = unmask.load(write_causal(tmp_path), device="cpu")
    first, other = (
        generate(model, Infill([4, 5], 2, [end], 2, prompt=[3]))[0].token_ids for end in (6, 7)
    )
    assert (first[:2], first[4]) == ([4, 5], 6)
    assert first[:4] == other[:4]


def test_a_causal_model_needs_a_token_before_the_first_gap(tmp_path):
    model = unmask.load(write_causal(tmp_path), device="cpu")
    with pytest.raises(PromptError, match="prompt is empty"):
        generate(model, Infill(2, [6], prompt=[]))


def test_a_canvas_refuses_given_text_outside_of_it():
    with pytest.raises(PromptError, match="fixed position 3 lies outside the 3 answer tokens"):
        Canvas.start([1], 3, MASK, {3: 0})
