"""What every schedule keeps, on random walks of a canvas; the catalogue says which there are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import build, canvases, walk
from unmask import catalogue

PACKAGE = "unmask.decode.schedules"
every_schedule = pytest.mark.parametrize("name", catalogue.names(PACKAGE))
lengths = st.integers(1, 12)
spans = st.none() | st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def built(name, length, span):
    if span == 1 and name != "left_to_right":
        span = None  # a causal model is given no other
    return build("schedule", name, block_length=length, span=span)


def turns(name, canvas, length, span, seed):
    return list(walk(canvas, built(name, length, span), seed))


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_eligible_positions_are_open_and_ascending(name, canvas, length, span, seed):
    for turn in turns(name, canvas, length, span, seed):
        assert np.isin(turn.window.eligible, turn.canvas.open).all()
        assert (np.diff(turn.window.eligible) > 0).all()


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_the_frontier_holds_the_first_open_position_and_it_is_eligible(
    name, canvas, length, span, seed
):
    for turn in turns(name, canvas, length, span, seed):
        start, stop = turn.window.frontier
        first = turn.canvas.open[0]
        assert canvas.prompt_length <= start <= first < stop <= len(canvas)
        assert first in turn.window.eligible


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_every_eligible_position_lies_between_the_edges_of_its_block(
    name, canvas, length, span, seed
):
    for turn in turns(name, canvas, length, span, seed):
        edges, at = np.array(turn.window.edges), turn.window.eligible
        block = turn.window.blocks(at)
        assert (np.diff(edges) > 0).all()
        assert (edges[0], edges[1], edges[-1]) == (*turn.window.frontier, turn.window.stop)
        assert ((edges[block] <= at) & (at < edges[block + 1])).all()


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_a_walk_fills_the_canvas_in_at_most_one_forward_a_mask(name, canvas, length, span, seed):
    walked = turns(name, canvas, length, span, seed)
    assert sum(len(turn.written) for turn in walked) == len(canvas.open)
    assert len(walked) <= len(canvas.open)


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_a_position_once_eligible_stays_so_until_it_is_written(name, canvas, length, span, seed):
    walked = turns(name, canvas, length, span, seed)
    for before, after in pairwise(walked):
        left = np.setdiff1d(before.window.eligible, before.written)
        assert np.isin(left, after.window.eligible).all()


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_since_is_the_forward_after_which_the_block_became_the_frontier(
    name, canvas, length, span, seed
):
    seen = {}
    for turn in turns(name, canvas, length, span, seed):
        assert turn.window.since == seen.setdefault(turn.window.frontier, turn.canvas.step)


@every_schedule
@given(canvas=canvases(), length=lengths, span=spans, seed=seeds)
def test_a_schedule_is_a_function_of_the_canvas(name, canvas, length, span, seed):
    """A canvas rebuilt from its parts, and asked for out of order, is answered in the same way."""
    schedule = built(name, length, span)
    for turn in reversed(turns(name, canvas, length, span, seed)):
        again = schedule(turn.canvas)
        assert again.frontier == turn.window.frontier
        assert again.since == turn.window.since
        assert again.eligible.tolist() == turn.window.eligible.tolist()


@given(canvas=canvases(), length=lengths, span=st.integers(2, 9), seed=seeds)
def test_blocks_do_not_cross_those_of_the_model(canvas, length, span, seed):
    for turn in turns("blocks", canvas, length, span, seed):
        start, stop = turn.window.frontier
        base = start // span * span
        assert stop <= base + span
        cut = start == canvas.prompt_length or (start - base) % length == 0
        assert cut
        assert stop in (len(canvas), base + span) or (stop - base) % length == 0
