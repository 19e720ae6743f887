"""What every cache policy keeps, on random walks under every schedule, shifted models or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import build, canvases, walk
from unmask import catalogue
from unmask.decode.plan import widen

CACHES = "unmask.decode.caches"
SCHEDULES = "unmask.decode.schedules"
CAUSAL = "causal"
LOOKING_LEFT = {("left_to_right", 1), ("blocks", 0), ("blocks", 1)}
"""What the published models of the causal cache do; more below."""

every_case = pytest.mark.parametrize(
    ("cache", "schedule", "shift"),
    [
        (cache, schedule, shift)
        for cache in catalogue.names(CACHES)
        for schedule in catalogue.names(SCHEDULES)
        for shift in (0, 1)
        if cache != CAUSAL or (schedule, shift) in LOOKING_LEFT
    ],
)
lengths = st.integers(1, 12)
spans = st.integers(1, 9)
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


def span_of(cache, schedule, shift, span):
    """Only models that look left are given the causal cache, and other ones all the others. One
    that sees no mask at all is shifted and read from left to right."""
    if cache != CAUSAL:
        return None
    return span if shift and schedule == "left_to_right" else span + 1


def plans(cache, schedule, shift, canvas, length, seed, span=1, **given):
    """(turn, widened plan) of every forward of a walk."""
    span = span_of(cache, schedule, shift, span)
    if span is not None:  # such a model has no horizon
        given.pop("horizon", None)
    where = build("schedule", schedule, block_length=length, shift=shift, span=span, **given)
    policy = build("cache", cache, block_length=length, shift=shift, span=span, **given)
    return [(turn, widen(turn.plan, shift)) for turn in walk(canvas, where, seed, policy)]


def fed(plan):
    return set(range(*plan.feed))


def read(plan):
    return {position for start, stop in plan.read for position in range(start, stop)}


@every_case
@given(
    canvas=canvases(),
    length=lengths,
    seed=seeds,
    span=spans,
    compat=st.sampled_from([None, "reference"]),
)
def test_feed_and_read_are_disjoint(cache, schedule, shift, canvas, length, seed, span, compat):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, span, compat=compat):
        assert not fed(plan) & read(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options, span=spans)
def test_the_row_that_speaks_about_an_asked_position_is_fed(
    cache, schedule, shift, canvas, length, seed, extra, span
):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, span, **extra):
        assert {position - shift for position in plan.ask} <= fed(plan)


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options, span=spans)
def test_all_that_a_full_forward_would_see_is_fed_or_read(
    cache, schedule, shift, canvas, length, seed, extra, span
):
    """Of a model that looks left: all that the last row which speaks about an asked position sees,
    its own block and those before it."""
    block = span_of(cache, schedule, shift, span)
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed, span, **extra):
        sight = turn.window.reach
        if block is not None:
            row = turn.window.eligible[-1] - shift
            sight = min(row - row % block + block, len(canvas))
        assert fed(plan) | read(plan) == set(range(sight))


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options, span=spans)
def test_nothing_is_read_that_was_never_written(
    cache, schedule, shift, canvas, length, seed, extra, span
):
    stored = set()
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, span, **extra):
        assert read(plan) <= stored
        stored |= fed(plan)


@given(
    schedule=st.sampled_from(catalogue.names(SCHEDULES)),
    shift=st.integers(0, 1),
    canvas=canvases(),
    length=lengths,
    seed=seeds,
    span=spans,
    compat=st.sampled_from([None, "reference"]),
)
def test_the_causal_cache_reads_only_what_cannot_change_any_more(
    schedule, shift, canvas, length, seed, span, compat
):
    """What a position saw when it was last fed is what it would see now: the cache is exact."""
    block = span_of(CAUSAL, schedule, shift, span)
    saw = {}
    for turn, plan in plans(CAUSAL, schedule, shift, canvas, length, seed, span, compat=compat):
        sights = {
            place: turn.canvas.tokens_L[: place - place % block + block].tolist()
            for place in fed(plan) | read(plan)
        }
        assert all(saw[place] == sights[place] for place in read(plan))
        saw |= {place: sights[place] for place in fed(plan)}


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options, span=spans)
def test_all_eligible_positions_are_asked_for(
    cache, schedule, shift, canvas, length, seed, extra, span
):
    for turn, plan in plans(cache, schedule, shift, canvas, length, seed, span, **extra):
        assert plan.ask.tolist() == turn.window.eligible.tolist()


@every_case
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options, span=spans)
def test_a_plan_counts_what_it_feeds_and_reads(
    cache, schedule, shift, canvas, length, seed, extra, span
):
    for _, plan in plans(cache, schedule, shift, canvas, length, seed, span, **extra):
        assert (plan.fed, plan.seen) == (len(fed(plan)), len(read(plan)))


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@given(canvas=canvases(), length=lengths, seed=seeds, extra=options)
def test_the_first_forward_of_a_block_feeds_everything(cache, canvas, length, seed, extra):
    seen = set()
    for turn, plan in plans(cache, "blocks", 0, canvas, length, seed, **extra):
        if turn.window.frontier not in seen:
            assert plan.feed == (0, turn.window.reach)
        seen.add(turn.window.frontier)
