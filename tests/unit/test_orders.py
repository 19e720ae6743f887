"""Cheap substitutes for a teacher's order, and what a window makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from doubles import FakeDenoiser
from unmask.distill.draws import latest
from unmask.distill.loss import entropy
from unmask.distill.orders import ordered
from unmask.distill.texts import Text

PROMPT, CANVAS = 3, 8


def texts(count=2):
    draw = np.random.default_rng(0)
    order = np.concatenate([np.zeros(PROMPT), 1 + draw.permutation(CANVAS)]).astype(np.int64)
    ids = draw.integers(0, 6, PROMPT + CANVAS)
    return [Text(index, ids + 0, PROMPT, PROMPT + CANVAS, order) for index in range(count)]


def teacher(shift):
    logits = torch.randn(PROMPT + CANVAS, 8, generator=torch.Generator().manual_seed(1))
    return FakeDenoiser(3 * logits, shift=shift)


def test_the_teachers_order_is_left_as_it_was_harvested():
    given = texts()
    assert ordered(given, "teacher", teacher(0)) == given


def test_from_left_to_right_the_rightmost_are_masked():
    [text, _] = ordered(texts(), "left", teacher(0))
    assert np.flatnonzero(latest(text, PROMPT, PROMPT + CANVAS, 0.5)).tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize("shift", [0, 1])
def test_by_entropy_the_most_doubtful_are_masked(shift):
    """One forward over an answer of masks; the doubt about a position is that of its row."""
    model = teacher(shift)
    found = ordered(texts(), "entropy", model)
    doubt = entropy(model.logits_LV)[PROMPT:].numpy()
    for text in found:
        assert (text.order_L[:PROMPT] == 0).all()
        assert sorted(text.order_L[PROMPT:]) == list(range(1, CANVAS + 1))
        assert (text.order_L[PROMPT:] - 1).tolist() == np.argsort(np.argsort(doubt)).tolist()
        hidden = np.flatnonzero(latest(text, PROMPT, PROMPT + CANVAS, 0.25))
        assert set(hidden - PROMPT) == set(np.argsort(doubt)[-2:])
    assert len(model.calls) == 2, "one forward a text"
    for call in model.calls:
        assert (call.ids_BQ[0, PROMPT:] == model.card.mask_id).all()
        assert (call.ids_BQ[0, :PROMPT].numpy() == texts()[0].ids_L[:PROMPT]).all()
    assert (found[0].ids_L == texts()[0].ids_L).all(), "the text itself stays"
