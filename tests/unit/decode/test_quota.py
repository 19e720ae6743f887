"""Fixed numbers a forward: m tokens in T steps are m // T each, one more in the first m % T."""

from __future__ import annotations

import pytest
import torch

from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import generate
from unmask.decode.slate import Slate, quota


def due(tokens, steps, ages):
    """Tokens due at every age of a block."""
    rows = len(ages)
    frontier = torch.zeros(rows, 1, dtype=torch.long)
    total_B = torch.full((rows,), tokens)
    return quota(Slate(frontier, total_B, torch.tensor(ages)), steps).tolist()


def test_32_tokens_in_5_steps_are_7_7_6_6_6():
    # 32 // 5 = 6 and 32 % 5 = 2: the first two steps take one more.
    assert due(32, 5, range(5)) == [7, 7, 6, 6, 6]


def test_no_tokens_are_due_when_none_are_left():
    assert due(0, 4, range(4)) == [0, 0, 0, 0]


def test_fewer_tokens_than_steps_are_one_each_and_then_none():
    assert due(3, 5, range(5)) == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(("tokens", "steps"), [(1, 1), (7, 3), (32, 32), (31, 8), (256, 100)])
def test_the_quotas_of_a_block_add_up_to_its_tokens(tokens, steps):
    assert sum(due(tokens, steps, range(steps))) == tokens


def test_rows_have_their_own_totals_and_ages():
    frontier = torch.zeros(3, 1, dtype=torch.long)
    slate = Slate(frontier, torch.tensor([9, 4, 0]), torch.tensor([0, 1, 2]))
    # 9 in 4 steps: 3 2 2 2, at age 0: 3. 4 in 4 steps: 1. Nothing of 0.
    assert quota(slate, 4).tolist() == [3, 1, 0]


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize(
    ("steps", "written"), [(16, [1] * 16), (4, [4, 4, 4, 4]), (6, [3, 3, 2] * 2), (2, [8, 8])]
)
def test_steps_are_the_forwards_of_the_whole_answer(cache, steps, written):
    # 16 tokens in two blocks of 8; a refresh is a decoding step like any other.
    fake = FakeDenoiser(sure_of([0.55 + 0.02 * place for place in range(19)]))
    [result] = generate(model_of(fake, 16, 8), [0, 0, 0], "vanilla", steps=steps, cache=cache)
    assert [len(places) for places in births(result)] == written
    assert len(fake.calls) == result.forwards == steps


def test_one_token_a_forward_without_steps():
    fake = FakeDenoiser(sure_of([0.6] * 12))
    [result] = generate(model_of(fake, 11, 4), [0], "vanilla")
    assert result.forwards == 11


def test_a_short_last_block_shares_its_own_tokens():
    # 12 tokens in blocks of 8 and 4, 8 steps in all, so 4 a block: 2 2 2 2 and 1 1 1 1.
    fake = FakeDenoiser(sure_of([0.6] * 13))
    [result] = generate(model_of(fake, 12, 8), [0], "vanilla", steps=8)
    assert [len(places) for places in births(result)] == [2, 2, 2, 2, 1, 1, 1, 1]
