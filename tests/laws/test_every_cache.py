"""What every cache policy keeps, on random walks under every schedule, shifted models or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import canvases, walk
from unmask import catalogue
from unmask.decode.plan import widen

CACHES = "unmask.decode.caches"
SCHEDULES = "unmask.decode.schedules"
CAUSAL = "causal"

every_case = pytest.mark.parametrize(
    ("cache", "schedule", "shift"),
    [
        (cache, schedule, shift)
        for cache in catalogue.names(CACHES)
        for schedule in catalogue.names(SCHEDULES)
        for shift in (0, 1)
        # What the policy refuses: a causal cache needs a causal model, read from left to right.
        if cache != CAUSAL or (schedule == "left_to_right" and shift == 1)
    ],
)
lengths = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def plans(cache, schedule, shift, canvas, length, seed, *, first_only=False):
    """(turn, widened plan) of every forward of a walk."""
    where = catalogue.find(SCHEDULES, schedule, "schedule").build(length)
    policy = catalogue.find(CACHES, cache, "cache").build(first_only)
    return [(turn, widen(turn.plan, shift)) for turn in walk(canvas, where, seed, policy)]


def fed(plan):
    return set(range(*plan.feed))


def read(plan):
    return {position for start, stop in plan.read for position in range(start, stop)}


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, first_only=st.booleans())
def test_feed_and_read_are_disjoint(cache, schedule, shift, canvas, length, seed, first_only):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, first_only=first_only):
        assert not fed(plan) & read(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_the_row_that_speaks_about_an_asked_position_is_fed(
    cache, schedule, shift, canvas, length, seed
):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed):
        assert {position - shift for position in plan.ask} <= fed(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_all_that_a_full_forward_would_see_is_fed_or_read(
    cache, schedule, shift, canvas, length, seed
):
    """A causal model sees what is known: all before the first open position."""
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed):
        sight = turn.window.frontier[0] if cache == CAUSAL else len(canvas)
        assert fed(plan) | read(plan) == set(range(sight))


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_nothing_is_read_that_was_never_written(cache, schedule, shift, canvas, length, seed):
    stored = set()
    for _, plan in plans(cache, schedule, shift, canvas, length, seed):
        assert read(plan) <= stored
        stored |= fed(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_all_eligible_positions_are_asked_for(cache, schedule, shift, canvas, length, seed):
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed):
        assert plan.ask.tolist() == turn.window.eligible.tolist()


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_a_plan_counts_what_it_feeds_and_reads(cache, schedule, shift, canvas, length, seed):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed):
        assert (plan.fed, plan.seen) == (len(fed(plan)), len(read(plan)))


@pytest.mark.parametrize("cache", [name for name in catalogue.names(CACHES) if name != CAUSAL])
@given(canvas=canvases(), length=lengths, seed=seeds)
def test_the_first_forward_of_a_block_feeds_everything(cache, canvas, length, seed):
    seen = set()
    for turn, plan in plans(cache, "blocks", 0, canvas, length, seed):
        if turn.window.frontier not in seen:
            assert plan.feed == (0, len(canvas))
        seen.add(turn.window.frontier)
