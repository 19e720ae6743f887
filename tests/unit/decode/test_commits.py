"""What one forward did: the events from which streams, drawings and counts are made."""

from __future__ import annotations

import numpy as np
import pytest

from doubles import FakeDenoiser, model_of, sure_of
from unmask import Infill, generate
from unmask.canvas.canvas import MASKED, Canvas
from unmask.decode.generate import finished, prepare

OPTIONS = {"threshold": 0.7, "max_new_tokens": 12, "block_length": 4, "early_stop": False}


def watched(model, prompts, batch_size=2, preset="fast-dllm", **overrides):
    """Rows, results by index in the order of their end, and the commits of all forwards."""
    rows = prepare(model, prompts, preset, raw=False, overrides={**OPTIONS, **overrides})
    frames = []
    done = list(finished(model, rows, batch_size, lambda commits, _: frames.append(commits)))
    return rows, done, frames


@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
@pytest.mark.parametrize("preset", ["vanilla", "fast-dllm", "d3llm"])
@pytest.mark.parametrize("early_stop", [False, True])
def test_commits_replay_the_answer(name, preset, early_stop, models):
    """The padding behind an early end too. The golden models end soon: 125 is likely there."""
    prompts = [[5, 6, 7], [9], [1, 2, 3, 4]]
    given = {} if preset == "vanilla" else {"threshold": 0.7}
    options = {"early_stop": early_stop, "threshold": None, **given}
    rows, _, frames = watched(models[name], prompts, preset=preset, **options)
    for row, prompt in zip(rows, prompts, strict=True):
        tokens = Canvas.start(prompt, 12, models[name].card.mask_id).tokens_L
        born = np.where(np.arange(len(tokens)) < len(prompt), 0, MASKED)
        for commit in (c for frame in frames for c in frame if c.row == row.index):
            tokens[commit.positions] = commit.tokens
            fresh = commit.positions[born[commit.positions] == MASKED]
            born[fresh] = commit.step
        assert tokens.tolist() == row.canvas.tokens_L.tolist()
        assert born.tolist() == row.canvas.born_L.tolist()


def test_steps_of_a_row_count_from_one(models):
    _, _, frames = watched(models["llada-tiny"], [[5], [6, 7], [8]])
    for index in range(3):
        steps = [c.step for frame in frames for c in frame if c.row == index]
        assert steps == list(range(1, len(steps) + 1))


def test_a_commit_tells_the_confidence_of_what_it_wrote():
    model = model_of(FakeDenoiser(sure_of([0.5, 0.75, 0.625, 0.875])), 3, 3)
    _, _, frames = watched(model, [[0]], max_new_tokens=3, block_length=3, threshold=0.7)
    first, second = (frame[0] for frame in frames)
    assert first.positions.tolist() == [1, 3]
    assert first.confidences.tolist() == pytest.approx([0.75, 0.875])
    assert second.confidences.tolist() == pytest.approx([0.625])


def test_a_commit_tells_what_was_fed_and_what_was_read():
    # 9 positions; blocks of 4 at 1 and 5: a refresh of 9, then 4 fed and the other 5 read.
    model = model_of(FakeDenoiser(sure_of([0.8] * 9)), 8, 4)
    _, _, frames = watched(model, [[0]], max_new_tokens=8, threshold=0.9)
    assert [(c.fed, c.read) for frame in frames for c in frame] == [(9, 0), *[(4, 5)] * 3] * 2


def test_results_come_as_rows_finish():
    # Four masks, one a forward, beside one mask.
    model = model_of(FakeDenoiser(sure_of([0.8] * 12)), 4, 4)
    prompts = [Infill(4, prompt=[0]), Infill([1, 1, 1], 1, prompt=[0])]
    rows, done, _ = watched(model, prompts, threshold=0.9)
    assert [(index, result.forwards) for index, result in done] == [(1, 1), (0, 4)]
    assert all(row.canvas.done for row in rows)


def test_results_are_those_of_generate(llada):
    prompts = [[5, 6, 7], [9], [1, 2, 3, 4]]
    _, done, _ = watched(llada, prompts)
    found = {index: result.token_ids for index, result in done}
    expected = generate(llada, prompts, "fast-dllm", **OPTIONS)
    assert found == {at: result.token_ids for at, result in enumerate(expected)}


def test_a_commit_refuses_positions_that_are_written():
    canvas = Canvas.start([1], 2, 9).commit(np.array([1]), np.array([5]))
    with pytest.raises(AssertionError, match="open positions only"):
        canvas.commit(np.array([1]), np.array([6]))


@pytest.mark.parametrize(("written", "third"), [(False, 5), (True, 7)])
def test_closing_pads_what_is_open_and_if_asked_what_is_written(written, third):
    canvas = Canvas.start([1], 4, 9).commit(np.array([3]), np.array([5]))
    canvas = canvas.commit(np.array([1]), np.array([6])).close(2, 7, written=written)
    assert canvas.tokens_L.tolist() == [1, 6, 7, third, 7]
    assert canvas.born_L.tolist() == [0, 2, 2, 1, 2]
    assert canvas.done
