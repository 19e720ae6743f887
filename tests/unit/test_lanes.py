"""Rows in groups, groups on cores."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.decode.lanes import CALL_COST, FEW, MOST, SMALL, WIDE, each, groups, lanes


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def denoiser(device="cpu", parameters=1000, processes=1):
    card = SimpleNamespace(parameters=parameters, processes=processes)
    return SimpleNamespace(device=torch.device(device), card=card)


def cost(lengths, found):
    return sum(max(lengths[row] for row in group) * len(group) + CALL_COST for group in found)


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=24), ways=st.integers(1, 4))
def test_every_row_is_in_one_group(lengths, ways):
    found = groups(lengths, ways)
    assert sorted(row for group in found for row in group) == list(range(len(lengths)))
    assert all(group == sorted(group) for group in found)


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=24), ways=st.integers(1, 4))
def test_no_group_has_more_than_a_share_but_for_its_last_row(lengths, ways):
    share = sum(lengths) / (ways if sum(lengths) >= FEW else 1)
    for group in groups(lengths, ways):
        longest = max(lengths[row] for row in group)
        assert len(group) == 1 or longest * (len(group) - 1) < share


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=24))
def test_groups_never_cost_more_than_each_row_alone(lengths):
    assert cost(lengths, groups(lengths, 1)) <= cost(lengths, [[r] for r in range(len(lengths))])


@pytest.mark.parametrize(
    ("lengths", "ways", "wanted"),
    [
        ([40] * 7, 1, [[0, 1, 2, 3, 4, 5, 6]]),
        ([40] * 8, 2, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ([40] * 2, 4, [[0], [1]]),
        ([40, 40, 250, 40], 2, [[2], [0, 1, 3]]),
        ([10, 500, 10], 1, [[1], [0, 2]]),
        ([90, 100], 1, [[0, 1]]),
    ],
)
def test_groups_by_hand(lengths, ways, wanted):
    found = groups(lengths, ways)
    assert sorted(found) == sorted(wanted)


def test_lanes_are_for_small_models_on_a_cpu(two_threads):
    assert lanes(denoiser()) == 2
    assert lanes(denoiser("meta")) == 1
    assert lanes(denoiser(parameters=SMALL + 1)) == 1
    assert lanes(denoiser(processes=2)) == 1, "the others would call in another order"
    torch.set_num_threads(MOST + 3)
    assert lanes(denoiser()) == MOST


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_results_keep_their_order_and_run_on_one_core_each(parts, two_threads):
    found = each(lambda part: (part, torch.get_num_threads()), list(range(parts)), 2, WIDE - 1)
    assert found == [(part, 1) for part in range(parts)]
    assert torch.get_num_threads() == 2


def test_a_wide_call_has_all_cores(two_threads):
    assert each(lambda _: torch.get_num_threads(), [0], 2, WIDE) == [2]


def test_two_groups_run_at_once(two_threads):
    meet = threading.Barrier(2, timeout=60)  # breaks, if they ran one after the other
    assert sorted(each(lambda _: meet.wait(), [0, 1], 2, WIDE)) == [0, 1]


@pytest.mark.parametrize("guilty", [0, 1])
def test_an_error_waits_for_the_others(guilty, two_threads):
    done = []

    def work(part):
        if part == guilty:
            raise ValueError("no")
        done.append(part)

    with pytest.raises(ValueError, match="no"):
        each(work, [0, 1, 2], 2, WIDE)
    assert sorted(done) == [part for part in range(3) if part != guilty]
    assert torch.get_num_threads() == 2


def test_rows_that_feed_little_share_a_call_on_one_core(two_threads):
    assert groups([1] * (FEW - 1), 2) == [list(range(FEW - 1))]
    assert len(groups([1] * FEW, 2)) == 2
    assert each(lambda _: torch.get_num_threads(), [0], 2, FEW - 1) == [1]
