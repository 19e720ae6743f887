"""Training is killed inside a save, or its disk is full: the last save stands, and the run ends
with the digits of an undisturbed one."""

from __future__ import annotations

import os
import resource
import signal
import sys

import numpy as np
import pytest
from accelerate import Accelerator
from safetensors.torch import load_file

from checkpoints import GOLDEN
from ranks import CONTEXT
from unmask import InputError
from unmask.distill import saves, train
from unmask.distill.checkpoint import RunFolder, export
from unmask.distill.recipe import Recipe
from unmask.distill.shards import Sample
from unmask.distill.texts import text_of
from unmask.models.loading import load

BASE = GOLDEN / "llada-tiny"
RECIPE = Recipe(
    state="block", objectives={"cross_entropy": 1.0, "certainty": 2.0}, ratio=(0.3, 0.3, 0.9),
    widths=(8,), rate=1e-3, epochs=2, batch=4,
)  # fmt: skip
STEPS, FULL = 6, 3


def run(out, killed=None, room=None):
    """One process of a run that saves every two steps. ``killed``: the function of a save, which
    of its calls, and whether before or after it; ``room``: the largest file it can write."""
    import torch

    torch.set_num_threads(1)
    if killed:
        kill_in(*killed)
    if room:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    model = load(BASE, "cpu")
    model.denoiser.requires_grad_(requires_grad=True)
    how = train.Run(RECIPE, STEPS, 0, 4, 2)
    try:
        tools = (Accelerator(cpu=True), RunFolder(out, {"x": 1}), None)
        for _ in train.train(model.denoiser, None, train.Data(list(texts(model.card))), how, tools):
            pass
        export(model.denoiser, BASE, out / "student")
    except InputError as error:
        sys.exit(FULL if "cannot be written" in str(error) else 1)


def texts(card):
    draw = np.random.default_rng(0)
    born = np.concatenate([np.zeros(5), 1 + np.arange(24)]).astype(np.uint16)
    for index in range(12):
        tokens = draw.integers(0, 120, 29).astype(np.uint32)
        tokens[20:] = card.end_ids[0]
        yield text_of(Sample(index, 5, tokens, born, 24, 16, 1, 0.0), card)


def kill_in(name, number, when):
    place = saves.HuggingFaceStorageWriter if name == "write_data" else saves
    real, calls = getattr(place, name), []

    def patched(*given):
        calls.append(name)
        if when == "before" and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*given)
        if when == "after" and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(place, name, patched)


def ended(*arguments):
    found = CONTEXT.Process(target=run, args=arguments)
    found.start()
    found.join()
    return found.exitcode


def outcome(out):
    """The log, and the student byte by byte."""
    tensors = load_file(out / "student" / "model.safetensors")
    weights = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    return (out / "log.jsonl").read_text(), weights


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert ended(out) == 0
    return outcome(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["write", "write_data", "_take"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_inside_a_save(undisturbed, tmp_path, name, when):
    assert ended(tmp_path, (name, 2, when)) == -signal.SIGKILL
    stands = 4 if when == "after" and name != "write_data" else 2
    assert saves.steps(tmp_path)[0] == stands
    assert ended(tmp_path) == 0
    assert outcome(tmp_path) == undisturbed
    assert saves.steps(tmp_path) == [6, 4]


@pytest.mark.slow
def test_a_full_disk(undisturbed, tmp_path):
    assert ended(tmp_path, ("_take", 2, "after")) == -signal.SIGKILL
    assert ended(tmp_path, None, 100_000) == FULL
    assert saves.steps(tmp_path) == [4, 2]
    assert not list(tmp_path.glob("state-*.part"))
    assert ended(tmp_path) == 0
    assert outcome(tmp_path) == undisturbed


def exported(out):
    model = load(BASE, "cpu")
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        export(model.denoiser, BASE, out)
    except InputError as error:
        sys.exit(FULL if "cannot be written" in str(error) else 1)


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_of_a_student(tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "old").touch()
    process = CONTEXT.Process(target=exported, args=(tmp_path / "student",))
    process.start()
    process.join()
    assert process.exitcode == FULL
    assert [path.name for path in (tmp_path / "student").iterdir()] == ["old"]
