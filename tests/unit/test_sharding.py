"""Weights cut among processes: the numbers of one process, whatever their number and their end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from checkpoints import GOLDEN
from ranks import together
from unmask import InputError
from unmask.distill import lora, train
from unmask.distill.batches import Noise, asked_of, collate, portions
from unmask.distill.checkpoint import RunFolder, export
from unmask.distill.recipe import Lora, Recipe
from unmask.distill.session import open_folder
from unmask.distill.shards import Sample
from unmask.distill.texts import text_of
from unmask.files import LOCK
from unmask.models.loading import builtin, load

BASE = GOLDEN / "llada-tiny"  # Dream's key biases have next to no gradient: Adam steps by its noise
STEPS = 6
RECIPE = Recipe(
    state="block", objectives={"cross_entropy": 1.0, "certainty": 2.0}, ratio=(0.3, 0.3, 0.9),
    widths=(8,), rate=1e-3, epochs=2, batch=7, complement=True,
)  # fmt: skip
LORA = Lora(4, 8, ("q_proj", "ff_out"))


def texts_of(card, count=24):
    """Texts of 27 to 51 positions."""
    draw = np.random.default_rng(0)
    found = []
    for index in range(count):
        prompt = int(draw.integers(3, 28))
        tokens = draw.integers(0, 120, prompt + 24).astype(np.uint32)
        tokens[prompt + 18 :] = card.end_ids[0]
        born = np.concatenate([np.zeros(prompt), 1 + np.arange(24)]).astype(np.uint16)
        found.append(text_of(Sample(index, prompt, tokens, born, 24, 19, 1, 0.0), card))
    return found


def run(out, *, base=BASE, how=None, sharded=False, teach=False, micro=2, killed=None):
    """One process of a run; ``killed``: the rank and the step after which it is gone."""
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == int(os.environ.get("WORLD_SIZE", "1"))
    model = load(base, "cpu")
    student = model.denoiser
    student.requires_grad_(requires_grad=True)
    student.recompute = sharded
    if how:
        lora.attach(student, base, how)
    objectives = {"divergence": 1.0, **RECIPE.objectives} if teach else RECIPE.objectives
    recipe = replace(RECIPE, objectives=objectives)
    order = train.Run(recipe, STEPS, 0, micro, 2, look=3, sharded=sharded)
    texts = texts_of(model.card)
    with accelerator.main_process_first():
        folder = RunFolder(out, {"x": 1}, owner=accelerator.is_main_process)
    teacher = load(base, "cpu").denoiser if teach else None
    data, tools = train.Data(texts, texts[:4]), (accelerator, folder, None)
    whole = sum(weight.numel() for weight in student.parameters())
    for line in train.train(student, teacher, data, order, tools):
        if sharded and line["step"] == 1:  # a look at step 3 leaves embedding and head gathered
            assert sum(one.to_local().numel() for one in student.parameters()) < 0.6 * whole
        if killed == (accelerator.process_index, line["step"]):
            os.kill(os.getpid(), signal.SIGKILL)
    if how:
        lora.save(student, base, how, out / "adapter", owner=accelerator.is_main_process)
    else:
        export(student, base, out / "student", owner=accelerator.is_main_process)


def log_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def result_of(out):
    [path] = out.glob("*/*model.safetensors")
    return load_file(path)


def same(one, other):
    """Losses within 1e-5, norms of gradients within 1e-4 of themselves, weights within a thousandth
    of what Adam may have moved them; in the mean, for where a gradient is next to nothing Adam
    steps by the noise in it."""
    assert len(log_of(one)) == len(log_of(other)) == STEPS
    for first, second in zip(log_of(one), log_of(other), strict=True):
        assert second.pop("norm") == pytest.approx(first.pop("norm"), rel=1e-4)
        assert second == pytest.approx(first, rel=1e-5, abs=1e-5)
    tensors = result_of(other)
    for name, tensor in result_of(one).items():
        assert (tensors[name] - tensor).abs().mean() < 1e-3 * STEPS * RECIPE.rate, name


def workers(count, out, **how):
    return together(count, partial(run, **how), out)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    run(out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_processes_train_what_one_trains(alone, tmp_path, sharded):
    """With a micro-batch of one, seven texts leave a process without work in the last turn."""
    assert workers(2, tmp_path, sharded=sharded, micro=1) == [0, 0]
    same(alone, tmp_path)


@pytest.mark.slow
def test_adapters_and_a_teacher_that_are_cut(tmp_path):
    run(tmp_path / "one", how=LORA, teach=True)
    assert workers(2, tmp_path / "two", how=LORA, teach=True, sharded=True) == [0, 0]
    same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_head_that_is_the_embedding_is_cut_once(tmp_path):
    base = builtin()["tiny"]
    run(tmp_path / "one", base=base, micro=7)
    assert workers(2, tmp_path / "two", base=base, sharded=True, micro=4) == [0, 0]
    same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_process_dies_and_others_go_on(alone, tmp_path):
    """Saved at steps 2 and 4, dead after 5; then the same two, one alone, and three, from there."""
    out = tmp_path / "two"
    assert -signal.SIGKILL in workers(2, out, sharded=True, killed=(1, 5))
    assert not (out / "student").exists()
    files = sorted(path.name for path in (out / "state-000004").glob("*.safetensors"))
    assert len(files) == 2, "each process wrote its part"
    for name, count in (("again", 2), ("one", 1), ("three", 3), ("damaged", 2)):
        shutil.copytree(out, tmp_path / name)
        if name == "damaged":  # one process finds it, and all go on from step 2
            last = tmp_path / name / "state-000004" / files[1]
            last.write_bytes(last.read_bytes()[:-4] + b"\0\1\2\3")
        assert workers(count, tmp_path / name, sharded=count > 1) == [0] * count
        same(alone, tmp_path / name)
    assert workers(2, tmp_path / "whole", sharded=True) == [0, 0]
    whole, again = result_of(tmp_path / "whole"), result_of(tmp_path / "again")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def apart(out):
    """Every process has a disk of its own."""
    accelerator = Accelerator(cpu=True)
    own = out / os.environ["RANK"]
    try:
        open_folder(own / "run", {"x": 1}, accelerator)
    except InputError as error:
        sys.exit(5 if "1 of 2 processes do not see the folder" in str(error) else 1)


@pytest.mark.slow
def test_processes_need_one_folder(tmp_path):
    for name in "01":  # as if both had been used before: only what one process writes now tells
        RunFolder(tmp_path / name / "run", {"x": 1})
    assert together(2, apart, tmp_path) == [5, 5]
    assert sorted(path.name for path in tmp_path.glob("*/run/*")) == [LOCK] * 2 + ["run.json"] * 2


def test_turns_hold_texts_of_similar_length():
    card = load(BASE, "cpu").card
    noise = Noise(RECIPE, 0)
    noised = [noise(text, 0, 0.0) for text in texts_of(card, 23)]
    for processes, micro in ((1, 4), (2, 4), (3, 1), (2, 50), (8, 8)):
        turns = portions(noised, processes, micro)
        assert all(len(turn) == processes for turn in turns)
        assert all(1 <= len(part) <= micro for turn in turns for part in turn)
        asked = [one for turn in turns for part in turn for one in part if asked_of(one, RECIPE)]
        assert sorted(one.text.index for one in asked) == list(range(23)), "each text once"
        spans = [[len(one.text) for part in turn for one in part] for turn in turns]
        for shorter, longer in pairwise(spans):
            assert max(shorter) <= min(longer)

    def padded(turns):
        cpu = torch.device("cpu")
        batches = [collate(part, RECIPE, card, cpu) for turn in turns for part in turn]
        return sum(0 if b.keep_BL is None else (~b.keep_BL).sum().item() for b in batches)

    bucketed, given = (portions(noised, 2, 4, bucketed=one) for one in (True, False))
    assert padded(bucketed) < 0.5 * padded(given)
