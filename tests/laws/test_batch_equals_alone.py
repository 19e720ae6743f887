"""Rows that share a batch: each gets the tokens and the births that it would get alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import generate
from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.loop import decode
from unmask.decode.step import Row

NAMES = ["llada-tiny", "dream-tiny"]
every_model = pytest.mark.parametrize("name", NAMES)
RULES: list[dict[str, Any]] = [
    {"strategy": "threshold", "threshold": 0.9},
    {"strategy": "threshold", "threshold": 0.4},
    {"strategy": "low_entropy", "threshold": 1.0},
    {"strategy": "factor", "factor": 2.0},
    {"strategy": "factor", "factor": 2.0, "compat": "reference"},
    {"strategy": "frechet", "delta": 0.1},
    {"strategy": "fixed_steps"},
    {"strategy": "margin"},
    {"strategy": "random_order", "seed": 3},
]
SAMPLINGS: list[dict[str, Any]] = [
    {},
    {},
    {"temperature": 0.7, "seed": 1},
    {"temperature": 1.5, "seed": 2, "top_k": 5},
    {"temperature": 1.0, "seed": 4, "top_p": 0.8},
]
prompts = st.lists(st.integers(0, 123), min_size=1, max_size=12)


class Request(NamedTuple):
    """What one row asks for."""

    prompt: list[int]
    preset: str
    overrides: dict[str, Any]


@st.composite
def requests(draw):
    overrides = {
        "schedule": draw(st.sampled_from(["blocks", "pipelined", "whole", "left_to_right"])),
        "cache": draw(st.sampled_from(["none", "prefix", "dual", "delayed", "sliding"])),
        "max_new_tokens": draw(st.sampled_from([1, 5, 8, 12])),
        **draw(st.sampled_from(SAMPLINGS)),
        **draw(st.sampled_from(RULES)),
    }
    if draw(st.booleans()):
        overrides["early_stop"] = draw(st.booleans())
    if overrides["schedule"] in {"blocks", "pipelined"} or overrides["cache"] == "delayed":
        overrides["block_length"] = draw(st.sampled_from([1, 4, 8]))
    if overrides["cache"] in {"delayed", "sliding"}:
        overrides |= {"delay": draw(st.integers(0, 3)), "refresh": draw(st.integers(2, 5))}
    if overrides["schedule"] in {"blocks", "pipelined"} and draw(st.booleans()):
        overrides["horizon"] = draw(st.integers(0, 2))
    return Request(draw(prompts), draw(st.sampled_from(["vanilla", "fast-dllm"])), overrides)


def row(model, index, request):
    made = policy.make(model.card, request.preset, request.overrides, model.defaults)
    length = made.settings.max_new_tokens
    return Row(index, Canvas.start(request.prompt, length, model.card.mask_id), made)


def decoded(model, wanted, slots):
    """Tokens, births and positions fed of every row."""
    rows = [row(model, index, request) for index, request in enumerate(wanted)]
    for _ in decode(model.denoiser, rows, slots):
        pass
    return [(r.canvas.tokens_L.tolist(), r.canvas.born_L.tolist(), r.fed) for r in rows]


@every_model
@settings(max_examples=20)
@given(wanted=st.lists(requests(), min_size=2, max_size=4), slots=st.integers(1, 4))
def test_a_row_does_not_depend_on_those_beside_it(name, wanted, slots, exact_models):
    model = exact_models[name]
    alone = [decoded(model, [request], 1)[0] for request in wanted]
    assert decoded(model, wanted, slots) == alone


@every_model
@settings(max_examples=20)
@given(wanted=st.lists(requests(), min_size=2, max_size=6))
def test_two_cores_write_what_one_writes(name, wanted, exact_models):
    model = exact_models[name]
    one = decoded(model, wanted, 6)
    torch.set_num_threads(2)
    try:
        assert decoded(model, wanted, 6) == one
    finally:
        torch.set_num_threads(1)


@every_model
@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_float32_batches_give_the_answers_of_single_rows(name, cache, models):
    """The same law at the precision that people use, on fixed prompts."""
    model = models[name]
    asked = [[5, 17, 80], [9] * 11, list(range(40, 60)), [100], [3, 1, 4, 1, 5, 9, 2, 6]]
    limits = {"cache": cache, "threshold": 0.6, "max_new_tokens": 16, "block_length": 8}
    alone = [generate(model, [prompt], **limits)[0].token_ids for prompt in asked]
    together = generate(model, asked, batch_size=5, **limits)
    assert [result.token_ids for result in together] == alone


@every_model
@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_more_rows_than_slots_get_the_same_answers(name, batch_size, exact_models):
    """Seven rows that end at different times, so that slots are freed and filled in between."""
    model = exact_models[name]
    asked = [[seed, 2 * seed, 90 - seed] * (1 + seed % 3) for seed in range(7)]
    limits = {"threshold": 0.5, "max_new_tokens": 12, "block_length": 4}
    found = generate(model, asked, "fast-dllm", batch_size=batch_size, **limits)
    for prompt, result in zip(asked, found, strict=True):
        [alone] = generate(model, prompt, "fast-dllm", **limits)
        assert result.token_ids == alone.token_ids
        assert result.forwards == alone.forwards
        assert result.fed_positions == alone.fed_positions


@every_model
def test_a_freed_slot_remembers_nothing_of_its_last_row(name, exact_models):
    """A long row first, a short one in its slot after it: the short one reads only its own keys."""
    model = exact_models[name]
    long = Request(list(range(30)), "fast-dllm", {"max_new_tokens": 40, "block_length": 8})
    short = Request([7, 7], "fast-dllm", {"max_new_tokens": 5, "block_length": 2})
    after = decoded(model, [long, short], 1)[1]
    assert after == decoded(model, [short], 1)[0]
