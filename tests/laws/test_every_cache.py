"""What every cache policy keeps, on random walks under every schedule, shifted models or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import canvases, settings, walk
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
options = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.integers(0, 4),
        "refresh": st.integers(1, 5),
        "horizon": st.integers(0, 3),
        "block_add_threshold": st.floats(0.05, 1),
    },
)


def plans(cache, schedule, shift, canvas, length, seed, **given):
    """(turn, widened plan) of every forward of a walk."""
    chosen = settings(block_length=length, shifted=shift > 0, **given)
    where = catalogue.find(SCHEDULES, schedule, "schedule").build(chosen)
    policy = catalogue.find(CACHES, cache, "cache").build(chosen)
    return [(turn, widen(turn.plan, shift)) for turn in walk(canvas, where, seed, policy)]


def fed(plan):
    return set(range(*plan.feed))


def read(plan):
    return {position for start, stop in plan.read for position in range(start, stop)}


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, compat=st.sampled_from([None, "reference"]))
def test_feed_and_read_are_disjoint(cache, schedule, shift, canvas, length, seed, compat):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, compat=compat):
        assert not fed(plan) & read(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_the_row_that_speaks_about_an_asked_position_is_fed(
    cache, schedule, shift, canvas, length, seed, extra
):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, **extra):
        assert {position - shift for position in plan.ask} <= fed(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_all_that_a_full_forward_would_see_is_fed_or_read(
    cache, schedule, shift, canvas, length, seed, extra
):
    """A causal model sees what is known: all before the first open position."""
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed, **extra):
        sight = turn.window.frontier[0] if cache == CAUSAL else turn.window.reach
        assert fed(plan) | read(plan) == set(range(sight))


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_nothing_is_read_that_was_never_written(
    cache, schedule, shift, canvas, length, seed, extra
):
    stored = set()
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, **extra):
        assert read(plan) <= stored
        stored |= fed(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_all_eligible_positions_are_asked_for(cache, schedule, shift, canvas, length, seed, extra):
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed, **extra):
        assert plan.ask.tolist() == turn.window.eligible.tolist()


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_a_plan_counts_what_it_feeds_and_reads(cache, schedule, shift, canvas, length, seed, extra):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, **extra):
        assert (plan.fed, plan.seen) == (len(fed(plan)), len(read(plan)))


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_the_first_forward_of_a_block_feeds_everything(cache, canvas, length, seed, extra):
    seen = set()
    for turn, plan in plans(cache, "blocks", 0, canvas, length, seed, **extra):
        if turn.window.frontier not in seen:
            assert plan.feed == (0, turn.window.reach)
        seen.add(turn.window.frontier)
