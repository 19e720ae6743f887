"""An answer may stop at an end token with no mask before it: exact, and cheaper."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import generate
from unmask.canvas.canvas import Canvas
from unmask.decode.stopping import stop_early
from unmask.models.denoiser import ModelCard

END, PAD = 5, 0


def toy(tokens, confidences=None, **overrides):
    """An answer of a context-free model; the prompt is one token."""
    sure = [0.5, *(confidences or [0.9] * len(tokens))]
    fake = FakeDenoiser(sure_of(sure, tokens=[0, *tokens]), end_ids=[END])
    overrides = {"threshold": 0.99, **overrides}
    [result] = generate(model_of(fake, len(tokens), 4), [0], "fast-dllm", **overrides)
    return result


def ending_with(model, token):
    """The same model, to which ``token`` means the end."""
    denoiser = copy(model.denoiser)
    denoiser.card = replace(model.card, end_ids=(token,))
    return replace(model, denoiser=denoiser)


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
def test_the_text_before_the_end_is_that_of_the_full_run_for_fewer_forwards(name, cache, models):
    """Whichever token of the answer is taken for the end."""
    limits = {"max_new_tokens": 32, "block_length": 8, "threshold": 0.9, "cache": cache}
    prompt = [60, 61, 62]
    [full] = generate(models[name], prompt, "fast-dllm", early_stop=False, **limits)
    for place in (0, 5, 12):
        token = full.token_ids[place]
        model = ending_with(models[name], token)
        [stopped] = generate(model, prompt, "fast-dllm", **limits)
        end = full.token_ids.index(token)
        assert stopped.token_ids[: end + 1] == full.token_ids[: end + 1]
        assert stopped.tokens == end + 1
        assert stopped.forwards < full.forwards


def test_nothing_is_decoded_behind_the_end():
    # Blocks of 4. The end is the third token and the surest, 0.95: written first, at forward 1.
    # Then 1 and 2 (0.92 each, lowest first): at forward 3 no mask stands before the end.
    result = toy([1, 2, END, 3, 1, 2, 3, 4], [0.92, 0.92, 0.95, 0.9] + [0.9] * 4)
    assert result.forwards == 3
    assert result.token_ids == [1, 2, END, PAD, PAD, PAD, PAD, PAD]


def test_an_end_with_a_mask_before_it_ends_nothing():
    # The end is the surest; were it obeyed at once, the first two tokens would be lost.
    result = toy([1, 2, END, 3], [0.6, 0.7, 0.95, 0.9])
    assert births(result) == [[3], [4], [2], [1]]
    assert result.token_ids == [1, 2, END, 3]


def test_padding_is_born_with_the_last_forward():
    result = toy([END, 1, 2, 3, 1, 2, 3, 1], [0.95] + [0.9] * 7)
    assert births(result) == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_an_end_token_in_the_prompt_ends_nothing():
    fake = FakeDenoiser(sure_of([0.9] * 6, tokens=[0, 1, 2, 1, 2, 1]), end_ids=[END])
    [result] = generate(model_of(fake, 4, 4), [END, END], "fast-dllm", threshold=0.99)
    assert result.token_ids == [2, 1, 2, 1]


def test_any_of_several_end_ids_ends_the_answer():
    fake = FakeDenoiser(sure_of([0.9] * 9, tokens=[0, 1, 6, *[1] * 6]), end_ids=[END, 6])
    [result] = generate(model_of(fake, 8, 4), [0], "vanilla", early_stop=True)
    assert (result.tokens, result.forwards) == (2, 2)


def test_vanilla_decodes_to_the_end_of_the_canvas():
    fake = FakeDenoiser(sure_of([0.9] * 9, tokens=[0, END, *[1] * 7]), end_ids=[END])
    [result] = generate(model_of(fake, 8, 4), [0], "vanilla")
    assert result.token_ids == [END, 1, 1, 1, 1, 1, 1, 1]


def test_compat_decodes_to_the_end_of_the_canvas_unless_told_otherwise():
    tokens = [END, 1, 2, 3, 1, 2, 3, 1]
    assert toy(tokens, compat="reference").token_ids == tokens
    assert toy(tokens, compat="reference", early_stop=True).token_ids[4:] == [PAD] * 4


def test_rows_of_a_batch_stop_by_themselves():
    # Position 1 is the end, position 2 is not: a prompt of one token ends at once, one of two not.
    fake = FakeDenoiser(sure_of([0.9] * 10, tokens=[0, END, *[1] * 8]), end_ids=[END])
    first, second = generate(model_of(fake, 8, 4), [[0], [0, 0]], "fast-dllm", threshold=0.99)
    assert (first.forwards, second.forwards) == (1, 8)


@given(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from([1, 2, END, PAD])), min_size=1),
    st.booleans(),
)
def test_what_was_written_before_needs_no_second_look(commits, ahead):
    """Asked after every forward with its tokens only, as with all tokens of the text."""
    card = ModelCard("m", "m", 9, 8, (END,), PAD, 64)
    canvas = Canvas.start([1], 12, 8, fixed={3: END})
    for place, token in commits:
        at = np.array([1 + place])
        if canvas.done or at[0] not in canvas.open:
            continue
        canvas = canvas.commit(at, np.array([token]))
        stopped = stop_early(canvas, card, np.array([token]), ahead=ahead)
        again = stop_early(canvas, card, canvas.tokens_L, ahead=ahead)
        assert stopped.tokens_L.tolist() == again.tokens_L.tolist()
        assert stopped.born_L.tolist() == again.born_L.tolist()
        assert stop_early(stopped, card, stopped.tokens_L, ahead=ahead) is stopped
        canvas = stopped
