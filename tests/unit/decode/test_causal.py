"""Autoregressive models: an ordinary key-value cache, exact."""

from __future__ import annotations

import pytest
import torch

import unmask
from checkpoints import CAUSAL_CONFIG, MASK, write_causal
from doubles import births
from unmask import generate
from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.step import Row, step

LIMITS = {"max_new_tokens": 12, "early_stop": False}


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return unmask.load(write_causal(tmp_path_factory.mktemp("causal")), device="cpu")


def test_later_tokens_do_not_change_earlier_logits(causal):
    first, other = causal.logits([1, 2, 3, 4]), causal.logits([1, 2, 3, 9])
    assert (first - other).abs().max() < 1e-5


def test_earlier_tokens_change_later_logits(causal):
    assert (causal.logits([1, 2, 3])[2] - causal.logits([9, 2, 3])[2]).abs().max() > 1e-2


def test_the_default_preset_of_a_causal_model_is_ar(causal):
    [result] = generate(causal, [1, 2], **LIMITS)
    assert result.trajectory.policy == "left_to_right/fixed_steps/causal"


def test_every_position_is_fed_once(causal):
    # A prompt of 3, then every token as the next one is asked for; the last is never fed.
    [result] = generate(causal, [1, 2, 3], **LIMITS)
    assert result.trajectory.fed.tolist() == [3] + [1] * 11
    assert births(result) == [[place] for place in range(3, 15)]


def test_cached_decoding_equals_full_forwards_token_by_token(causal):
    [result] = generate(causal, [1, 2, 3], **LIMITS)
    text = [1, 2, 3]
    for _ in range(12):
        # Aligned rows: the one about a place that is still to come needs a dummy there.
        logits = causal.logits([*text, 0])[-1].clone()
        logits[MASK] = -torch.inf
        text.append(int(logits.argmax()))
    assert result.token_ids == text[3:]


@pytest.mark.parametrize("late", [4, 5, 8, 9])
def test_a_row_that_comes_late_is_padded_beside_one_of_its_length(causal, late):
    """One feeds all it has, the other its last token and padding: nothing is masked out for
    either, and still the order of positions is not that of columns."""

    def row(index, prompt):
        canvas = Canvas.start(prompt, 6, MASK)
        limits = {"max_new_tokens": 6, "early_stop": False}
        return Row(index, canvas, policy.make(causal.card, "ar", limits, {}))

    def confidences(rows, start):
        """Of row 0 alone while it has fewer than ``start`` tokens, then of all."""
        store = causal.denoiser.new_store(2, 20)
        found = {one.index: [] for one in rows}
        while open_rows := [one for one in rows if not one.canvas.done]:
            early = len(rows[0].canvas) - len(rows[0].canvas.open) < start
            together = open_rows[:1] if early else open_rows
            for commit in step(causal.denoiser, store, together, [one.index for one in together]):
                found[commit.row] += commit.confidences.tolist()
        return found

    both = confidences([row(0, [1, 2, 3]), row(1, list(range(1, late + 1)))], late)
    for index, prompt in enumerate(([1, 2, 3], list(range(1, late + 1)))):
        assert both[index] == pytest.approx(confidences([row(index, prompt)], 0)[index], abs=1e-6)


def test_rows_of_a_batch_are_those_alone(causal):
    asked = [[1], [2, 3, 4, 5, 6], [7, 8], [9] * 9]
    together = generate(causal, asked, batch_size=3, **LIMITS)
    alone = [generate(causal, prompt, **LIMITS)[0] for prompt in asked]
    assert [r.token_ids for r in together] == [r.token_ids for r in alone]
    assert [r.fed_positions for r in together] == [r.fed_positions for r in alone]


def test_the_built_in_family_without_causality_looks_both_ways(tmp_path):
    model = unmask.load(write_causal(tmp_path, causal=False), device="cpu")
    assert not model.card.causal
    assert model.card.logit_shift == 0
    assert (model.logits([1, 2, 3])[0] - model.logits([1, 2, 9])[0]).abs().max() > 1e-2
    assert CAUSAL_CONFIG["causal"]
