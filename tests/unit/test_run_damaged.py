"""The folder of a training run is damaged: the run goes on from what is whole, with the digits of
an undisturbed one, and says so; or it is refused in one sentence."""

from __future__ import annotations

import json
import logging
import random
import shutil
from contextlib import closing

import numpy as np
import pytest
from accelerate import Accelerator
from safetensors.torch import load_file

from checkpoints import GOLDEN
from unmask import InputError
from unmask.distill import saves, train
from unmask.distill.checkpoint import LOG, SETTINGS, RunFolder
from unmask.distill.recipe import Recipe
from unmask.distill.shards import Sample
from unmask.distill.texts import text_of
from unmask.models.loading import load

RECIPE = Recipe(
    state="block", objectives={"cross_entropy": 1.0}, ratio=(0.3, 0.3, 0.9), widths=(8,),
    rate=1e-3, epochs=2, batch=4,
)  # fmt: skip
RUN = {"rate": 0.001, "seed": 0}
TENSORS = "shard-00001-model-00001-of-00001.safetensors"


def texts(card):
    draw = np.random.default_rng(0)
    born = np.concatenate([np.zeros(3), 1 + np.arange(8)]).astype(np.uint16)
    for index in range(8):
        tokens = draw.integers(0, 120, 11).astype(np.uint32)
        tokens[9:] = card.end_ids[0]
        yield text_of(Sample(index, 3, tokens, born, 8, 7, 1, 0.0), card)


def run(out, steps=6, stop=None):
    """A run that saves every two steps; what it told."""
    told, model = [], load(GOLDEN / "llada-tiny", "cpu")
    model.denoiser.requires_grad_(requires_grad=True)
    folder = RunFolder(out, RUN, tell=told.append)
    tools = (Accelerator(cpu=True), folder, None)
    how, data = train.Run(RECIPE, steps, 0, 4, 2), train.Data(list(texts(model.card)))
    with closing(folder):
        for line in train.train(model.denoiser, None, data, how, tools):
            if line["step"] == stop:
                break
    return told


def outcome(out):
    [path] = (out / saves.NAME.format(6)).glob("*.safetensors")
    tensors = {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}
    return (out / LOG).read_text(), tensors


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert run(out) == []
    assert saves.steps(out) == [6, 4]
    return outcome(out)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Five steps done, saves of two and four."""
    out = tmp_path_factory.mktemp("begun") / "run"
    assert run(out, stop=5) == []
    assert saves.steps(out) == [4, 2]
    return out


@pytest.fixture
def out(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "run")


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit in the header": lambda save: flipped(save / TENSORS, 20),
    "a flipped bit in a weight": lambda save: flipped(save / TENSORS, -3),
    "cut off": lambda save: (save / TENSORS).write_bytes((save / TENSORS).read_bytes()[:9000]),
    "empty": lambda save: (save / TENSORS).write_bytes(b""),
    "gone": lambda save: (save / TENSORS).unlink(),
    "a file too many": lambda save: shutil.copy(save / TENSORS, save / "model.safetensors"),
    "a flipped checksum": lambda save: flipped(save / saves.ABOUT, -20),
    "another run's": lambda save: flipped(save / saves.ABOUT, 10),
    "empty checksums": lambda save: (save / saves.ABOUT).write_bytes(b""),
    "all gone": lambda save: [path.unlink() for path in save.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_save_costs_the_steps_since_the_one_before(whole, out, damage):
    damage(out / saves.NAME.format(4))
    [told] = run(out)
    assert "\n" not in told
    assert "state-000004: " in told
    assert "the run goes on from the one before, of step 2" in told
    assert outcome(out) == whole
    assert saves.steps(out) == [6, 4]
    assert run(out) == [], "and what was damaged is gone"


def test_a_save_that_is_damaged_and_older_is_in_nobodys_way(whole, out):
    flipped(out / saves.NAME.format(2) / TENSORS, -3)
    assert run(out) == []
    assert outcome(out) == whole


def test_no_save_that_is_whole_is_one_sentence(out):
    flipped(out / saves.NAME.format(4) / TENSORS, -3)
    (out / saves.NAME.format(2) / TENSORS).unlink()
    with pytest.raises(InputError, match="has no save that is whole") as caught:
        run(out)
    assert "\n" not in str(caught.value)
    assert "give another folder to begin again" in str(caught.value)


def test_a_save_behind_the_end_of_a_shorter_run_is_dropped(out):
    """Damaged at step 4, gone on from 2 with other intervals: 4 is not taken for the newest."""
    flipped(out / saves.NAME.format(4) / TENSORS, -3)
    assert len(run(out, stop=3)) == 1
    assert saves.steps(out) == [4, 2], "a resumed run deletes nothing before it has saved"
    assert len(run(out)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"rate": 0.002, "seed": 0}', None])
def test_damaged_settings_are_written_anew_if_the_saves_are_of_this_run(whole, out, content):
    (out / SETTINGS).unlink()
    if content is not None:
        (out / SETTINGS).write_bytes(content)
    [told] = run(out)
    assert "run.json was damaged" in told
    assert json.loads((out / SETTINGS).read_text()) == RUN
    assert outcome(out) == whole


def test_settings_that_are_damaged_and_not_of_this_run_are_refused(out):
    (out / SETTINGS).write_bytes(b"{")
    with pytest.raises(InputError, match="no save is of this run; give a new folder"):
        RunFolder(out, {"rate": 1})
    assert (out / SETTINGS).read_bytes() == b"{"


def test_saves_of_earlier_versions_are_taken_and_not_in_silence(whole, out):
    for step in (4, 2):
        (out / saves.NAME.format(step) / saves.ABOUT).unlink()
    [told] = run(out)
    assert "has no checksums" in told
    assert outcome(out) == whole


def test_saves_of_earlier_versions_that_are_cut_off(whole, out, caplog):
    for step in (4, 2):
        (out / saves.NAME.format(step) / saves.ABOUT).unlink()
    DAMAGE["cut off"](out / saves.NAME.format(4))
    damaged, unchecked = run(out)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "the run goes on from the one before" in damaged
    assert "has no checksums" in unchecked
    assert outcome(out) == whole


@pytest.mark.parametrize("damage", ["flipped", "cut off", "gone"])
def test_a_damaged_log_is_said(whole, out, damage):
    path = out / LOG
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    path.unlink()
    if damage == "flipped":
        path.write_bytes(b"".join([lines[0], b"\xff" + lines[1][1:], *lines[2:]]))
    if damage == "cut off":
        path.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    [told] = run(out)
    left = {"flipped": 3, "cut off": 2, "gone": 0}[damage]
    assert told == f"{path} was damaged: it has {left} lines of 4 steps"
    assert outcome(out)[1] == whole[1]


def test_one_run_at_a_time(out):
    folder = RunFolder(out, RUN)
    with pytest.raises(InputError, match="is being written by another run; wait or give another"):
        run(out)
    RunFolder(out, RUN, owner=False)  # another process of the same run
    del folder
    assert run(out) == []


def test_a_flipped_bit_anywhere_in_a_save(out, begun):
    """Without training: a save is whole, or it is not read."""
    draw, model = random.Random(0), load(GOLDEN / "llada-tiny", "cpu")
    trained = dict(model.denoiser.named_parameters())
    optimiser = train.torch.optim.AdamW(trained.values())
    for name in (TENSORS, saves.ABOUT):
        path = out / saves.NAME.format(4) / name
        content = path.read_bytes()
        for at in [0, len(content) - 1, *(draw.randrange(len(content)) for _ in range(20))]:
            flipped(path, at)
            assert RunFolder(out, RUN).resume(trained, optimiser) == 2, (name, at)
            path.write_bytes(content)
            shutil.copy(begun / LOG, out / LOG)
    assert RunFolder(out, RUN).resume(trained, optimiser) == 4
