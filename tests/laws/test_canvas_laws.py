"""Canvas and trajectory on random walks: what is written stays, and the past can be read back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from laws.simulate import MASK, canvases, walk
from unmask import Trajectory
from unmask.decode.schedules.whole import Whole

seeds = st.integers(0, 2**32 - 1)


def history(canvas, seed):
    """The canvas after every forward of a walk, the empty one first."""
    turns = list(walk(canvas, Whole(), seed))
    last = turns[-1]
    chance = np.random.default_rng(seed)
    tokens = chance.integers(0, 9, len(last.written))
    return [turn.canvas for turn in turns] + [last.canvas.commit(last.written, tokens)]


def finished(canvas, seed):
    """The trajectory of a walk."""
    states = history(canvas, seed)
    fed = np.arange(1, len(states), dtype=np.int64)
    end = states[-1]
    return Trajectory(end.tokens_L, end.born_L, end.prompt_length, MASK, fed, "model", "a/b/c")


@given(canvas=canvases(), seed=seeds)
def test_the_tokens_at_a_step_are_those_the_canvas_had_then(canvas, seed):
    states = history(canvas, seed)
    for step, state in enumerate(states):
        assert states[-1].at(step).tolist() == state.tokens_L.tolist()


@given(canvas=canvases(), seed=seeds)
def test_a_later_step_only_loses_masks(canvas, seed):
    trajectory = finished(canvas, seed)
    for step in range(trajectory.steps):
        before, after = trajectory.at(step), trajectory.at(step + 1)
        assert ((before == MASK) | (before == after)).all()
        assert (after == MASK).sum() < (before == MASK).sum()


@given(canvas=canvases(), seed=seeds)
def test_given_tokens_are_born_at_zero_and_never_change(canvas, seed):
    given_ = np.flatnonzero(canvas.born_L == 0)
    for state in history(canvas, seed):
        assert (state.born_L[given_] == 0).all()
        assert (state.tokens_L[given_] == canvas.tokens_L[given_]).all()


@given(canvas=canvases(), seed=seeds)
def test_commit_leaves_the_canvas_before_it_alone(canvas, seed):
    tokens, born = canvas.tokens_L.copy(), canvas.born_L.copy()
    history(canvas, seed)
    assert canvas.tokens_L.tolist() == tokens.tolist()
    assert canvas.born_L.tolist() == born.tolist()


@given(canvas=canvases(), seed=seeds)
def test_order_is_a_permutation_of_the_answer_by_birth(canvas, seed):
    trajectory = finished(canvas, seed)
    order = trajectory.order()
    assert sorted(order) == list(range(canvas.prompt_length, len(canvas)))
    assert (np.diff(trajectory.born_L[order]) >= 0).all()


@given(canvas=canvases(), seed=seeds)
def test_saving_and_loading_a_trajectory_is_identity(canvas, seed):
    trajectory = finished(canvas, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.trajectory"
        trajectory.save(path)
        again = Trajectory.load(path)
    for name in ("tokens_L", "born_L", "fed"):
        before, after = getattr(trajectory, name), getattr(again, name)
        assert before.tolist() == after.tolist()
        assert before.dtype == after.dtype
    for name in ("prompt_length", "mask_id", "model", "policy"):
        assert getattr(trajectory, name) == getattr(again, name)
