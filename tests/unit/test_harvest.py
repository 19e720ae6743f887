"""Harvested trajectories: nothing lost, nothing doubled, whatever happens between two shards."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from doubles import FakeDenoiser, model_of, sure_of
from unmask import InputError, generate
from unmask.cluster.spread import Here
from unmask.distill.harvest import Harvest, Tally, fitting, harvest
from unmask.distill.intake import Shards
from unmask.distill.shards import MANIFEST, read, read_manifest

PROMPTS = [[5, 6, 7], [9], [1, 2, 3, 4], [8, 8], [3]]
LIMITS = {"max_new_tokens": 8, "block_length": 4, "threshold": 0.8}
HOW = Harvest("fast-dllm", LIMITS, batch_size=2, shard_size=2)


def here(model):
    return Here(model, HOW.shard_size)


def harvested(model, folder, prompts=PROMPTS, how=HOW):
    return list(harvest(here(model), dict(enumerate(prompts)), Shards(folder, {"x": 1}), how))


def test_samples_are_the_answers_of_generate(llada, tmp_path):
    harvested(llada, tmp_path)
    samples = sorted(read(tmp_path), key=lambda sample: sample.index)
    expected = generate(llada, PROMPTS, "fast-dllm", **LIMITS)
    for sample, prompt, result in zip(samples, PROMPTS, expected, strict=True):
        assert sample.tokens_L.tolist() == prompt + result.token_ids
        assert sample.born_L.tolist() == result.trajectory.born_L.tolist()
        assert sample.prompt_length == len(prompt)
        assert (sample.forwards, sample.counted) == (result.forwards, result.tokens)
        assert sample.correct == -1
        assert sample.born_L.dtype == np.uint16


def test_an_interrupted_harvest_goes_on_without_loss_or_repetition(llada, tmp_path):
    running = harvest(here(llada), dict(enumerate(PROMPTS)), Shards(tmp_path, {"x": 1}), HOW)
    next(running)
    running.close()  # one shard is stored
    assert Shards(tmp_path, {"x": 1}).done() == {0, 1}
    again = harvested(llada, tmp_path)
    assert [sample.index for sample in again] == [2, 3, 4]
    assert [sample.index for sample in read(tmp_path)] == [0, 1, 2, 3, 4]
    assert harvested(llada, tmp_path) == []


@pytest.mark.parametrize("torn", [True, False])
def test_a_shard_without_its_line_counts_once_the_writer_is_back(llada, tmp_path, torn):
    """Killed between file and line, or within the line. Readers look at nothing but whole lines."""
    harvested(llada, tmp_path)
    whole = (tmp_path / MANIFEST).read_text()
    cut = whole[:-20] if torn else whole[: whole.rindex('{"shard"')]
    (tmp_path / MANIFEST).write_text(cut)
    assert [sample.index for sample in read(tmp_path)] == [0, 1, 2, 3]
    assert (tmp_path / MANIFEST).read_text() == cut
    assert Shards(tmp_path, {"x": 1}).done() == {0, 1, 2, 3, 4}
    assert (tmp_path / MANIFEST).read_text() == whole


def test_other_settings_are_refused_by_name(tmp_path):
    Shards(tmp_path, {"preset": "vanilla", "raw": False})
    with pytest.raises(InputError, match=r"other settings \(preset\)"):
        Shards(tmp_path, {"preset": "d3llm", "raw": False})


@pytest.mark.parametrize("text", ["hello\n", "hello", "[1]\n", '{"format": "x"}\n'])
def test_a_folder_of_something_else_is_refused_and_left_alone(text, tmp_path):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="manifest"):
        Shards(tmp_path, {})
    assert (tmp_path / MANIFEST).read_text() == text


def test_a_damaged_shard_is_named(llada, tmp_path):
    harvested(llada, tmp_path)
    name = read_manifest(tmp_path).lines[1]["shard"]
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(content))
    with pytest.raises(InputError, match=name):
        list(read(tmp_path))


def test_a_wrong_answer_is_tried_again_a_little_warmer_and_a_right_one_is_not(tmp_path):
    # Two tokens of equal probability: greedy takes 0, a draw may take 1.
    model = model_of(FakeDenoiser(sure_of([0.5] * 3, vocabulary=3)), 2, 2)
    seen = []

    def check(index, text):
        seen.append(index)
        return index == 0 or len(seen) > 6

    how = Harvest("fast-dllm", {"max_new_tokens": 2}, attempts=5, check=check)
    found = harvested(model, tmp_path, [[0], [0]], how)
    assert [sample.correct for sample in found] == [1, 0]
    assert [round(sample.temperature, 1) for sample in found] == [0.0, 0.4]
    assert seen == [0, 1, 1, 1, 1, 1]


def test_the_tally_counts_what_was_checked(llada, tmp_path):
    samples = harvested(llada, tmp_path, how=replace(HOW, check=lambda index, _: index < 2))
    end = int(samples[0].tokens_L[-1])  # as if the first answer had ended with it
    ended = [end in sample.tokens_L[sample.prompt_length :] for sample in samples]
    tally = Tally((end,))
    for sample in samples:
        tally.add(sample)
    assert (len(tally.lengths), tally.checked, tally.correct) == (5, 5, 2)
    assert tally.lengths == [sample.counted for sample in samples]
    assert tally.endless == ended.count(False)
    assert tally.kept == sum(ended[:2])


def test_prompts_that_do_not_fit_are_left_out_and_named(llada):
    room = llada.card.max_length - LIMITS["max_new_tokens"]
    fit, why = fitting(llada, [[5], [7] * (room + 1), [7] * room, [-3]], HOW)
    assert fit == {0: [5], 2: [7] * room}
    assert [line.partition(":")[0] for line in why] == ["prompt 2", "prompt 4"]
    assert "exceed" in why[0]
    with pytest.raises(InputError, match="prompt 1: 5000 tokens are too many"):
        fitting(llada, [[7] * 5000], HOW)


def test_a_teacher_that_goes_block_by_block_has_births_that_do(llada, tmp_path):
    """d3LLM's trajectories: one token a forward, and no block before the one on its left."""
    how = Harvest("vanilla", {"max_new_tokens": 8, "block_length": 4}, batch_size=2, shard_size=2)
    for sample in harvested(llada, tmp_path, how=how):
        order = sample.born_L[sample.prompt_length :]
        assert sorted(order) == list(range(1, 9))
        assert order[:4].max() < order[4:].min()
        assert not sample.born_L[: sample.prompt_length].any()


def test_the_manifest_holds_one_json_object_a_line(llada, tmp_path):
    harvested(llada, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / MANIFEST).read_text().splitlines()]
    assert [line.get("shard") for line in lines] == [
        None,
        "shard-00000.safetensors",
        "shard-00001.safetensors",
        "shard-00002.safetensors",
    ]
