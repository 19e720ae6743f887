"""Streams give out what can no longer change, in whole characters, up to a stop string."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask import generate
from unmask.canvas.canvas import Canvas
from unmask.models.loading import load
from unmask.text.frontier import Frontier

TEXT = "We solve this in small steps. Ann has 3 apples, 7 pens. The answer is 19."


@pytest.fixture(scope="module")
def model():
    return load("tiny-fast")


def canvas_of(model, ids, prompt=(5, 6)):
    """An answer of ``ids`` that is still masked, and what fills it."""
    canvas = Canvas.start(list(prompt), len(ids), model.card.mask_id)
    return canvas, np.array(ids)


def fill(canvas, ids, offsets):
    at = np.array(sorted(offsets), dtype=np.intp)
    return canvas.commit(at + canvas.prompt_length, ids[at])


@given(data=st.data())
def test_pieces_add_up_whatever_the_order_of_writing(model, data):
    text = data.draw(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1))
    ids = model.codec.encode(text, plain=True)
    whole = model.codec.decode(ids)
    canvas, tokens = canvas_of(model, ids)
    frontier, pieces = Frontier(model.codec, model.card.end_ids), []
    order = data.draw(st.permutations(range(len(ids))))
    while order:
        size = data.draw(st.integers(1, len(order)))
        canvas, order = fill(canvas, tokens, order[:size]), order[size:]
        pieces.append(frontier.push(canvas))
        assert whole.startswith("".join(pieces))
    pieces.append(frontier.finish(canvas))
    assert "".join(pieces) == whole == frontier.text
    assert frontier.tokens == len(ids)


@given(data=st.data())
def test_a_stop_string_is_never_shown(model, data):
    stop = data.draw(st.sampled_from(["small", "7 pens. The", "e", "19.", "zzz", "steps. A"]))
    ids = model.codec.encode(TEXT, plain=True)
    whole = model.codec.decode(ids)
    canvas, tokens = canvas_of(model, ids)
    frontier, left = Frontier(model.codec, model.card.end_ids, [stop, ""]), list(range(len(ids)))
    while left and not frontier.stopped:
        size = data.draw(st.integers(1, len(left)))
        canvas, left = fill(canvas, tokens, left[:size]), left[size:]
        frontier.push(canvas)
        assert stop not in frontier.text
    frontier.finish(canvas)
    assert frontier.text == whole.split(stop)[0]
    assert frontier.stopped == (stop in whole)
    if frontier.stopped:
        assert stop in model.codec.decode(ids[: frontier.tokens])
        assert stop not in model.codec.decode(ids[: frontier.tokens - 1])


def test_nothing_behind_the_first_mask_or_the_end(model):
    end = model.card.end_ids[0]
    ids = [*model.codec.encode("one two", plain=True), end, *model.codec.encode("x", plain=True)]
    canvas, tokens = canvas_of(model, ids)
    frontier = Frontier(model.codec, model.card.end_ids)
    assert frontier.push(fill(canvas, tokens, range(1, len(ids)))) == ""
    done = fill(canvas, tokens, range(len(ids)))
    assert frontier.finish(done) == "one two"
    assert frontier.tokens == ids.index(end) + 1


def test_a_region_is_the_gap_of_an_infill(model):
    ids = model.codec.encode("one two three", plain=True)
    canvas, tokens = canvas_of(model, ids)
    done = fill(canvas, tokens, range(len(ids)))
    frontier = Frontier(model.codec, model.card.end_ids, region=(2, 3))
    assert frontier.finish(done) == model.codec.decode(ids[:1])


def test_tokens_and_text_are_those_of_generate(model):
    question = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
    [result] = generate(model, question, "d3llm", max_new_tokens=96)
    film = result.trajectory
    canvas = Canvas(film.tokens_L, film.born_L, film.prompt_length, film.mask_id)
    frontier = Frontier(model.codec, model.card.end_ids)
    assert frontier.finish(canvas) == result.text
    assert frontier.tokens == result.tokens
