"""harvest, doctor, distill, train and merge, on a tiny checkpoint."""

import json
import re
import shutil
import signal
import sqlite3
import time
from importlib.util import find_spec

import pytest

from checkpoints import GOLDEN
from commands import PATIENCE, started, unmask
from unmask.distill.shards import read


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 trajectories in the published layout, imported for the golden LLaDA."""
    folder = tmp_path_factory.mktemp("data")
    rows = folder / "rows.jsonl"
    with rows.open("w") as file:
        for number in range(1, 41):
            prompt = [number, 7, 9]
            tokens = [(number * 3 + at) % 100 for at in range(12)] + [125] * 4
            states = [
                prompt + tokens[: step + 1] + [126] * (15 - step) for step in range(len(tokens))
            ]
            print(json.dumps({"prompt_ids": prompt, "trajectory": states}), file=file)
    done = unmask(
        "harvest", "--answers", rows, "--model", GOLDEN / "llada-tiny", "--out", folder / "harvest"
    )
    assert done.returncode == 0, done.stderr
    assert "40 samples" in done.stdout
    return folder / "harvest"


def run_of(data, out, *more):
    return unmask(
        "distill", "--recipe", "d3llm-tiny", "--model", GOLDEN / "llada-tiny", "--data", data,
        "--out", out, "--steps", 3, "--set", "batch=4", "--set", "widths=[4,8]", *more,
    )  # fmt: skip


@pytest.mark.slow
def test_distil_generate_and_again(data, tmp_path):
    done = run_of(data, tmp_path / "run", "--look-every", 3)
    assert done.returncode == 0, done.stderr
    assert "3 steps" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert {"held_out_loss", "decode_forwards", "decode_right"} <= lines[-1].keys()
    assert (lines[-1]["decode_preset"], lines[-1]["decode_prompts"]) == ("d3llm", 2)
    chosen = ("--set", "decode={preset='dparallel', threshold=0.3, prompts=1}")
    again = run_of(data, tmp_path / "run", "--look-every", 3, *chosen)
    assert again.returncode == 0, "how a look decodes changes nothing of the run"
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"token_ids": [1, 7, 9]}\n')
    answer = unmask(
        "generate", "--model", tmp_path / "run" / "student", "--preset", "d3llm", "--prompts",
        prompts, "--max-new-tokens", 16,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    other = run_of(data, tmp_path / "run", "--set", "rate=1e-9")
    assert other.returncode == 2
    assert "other settings (held_out, recipe)" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.slow
def test_adapter_and_merge(data, tmp_path):
    lora = "lora={rank=4, alpha=8, targets=['q_proj', 'ff_out']}"
    done = run_of(data, tmp_path / "run", "--set", lora)
    assert done.returncode == 0, done.stderr
    adapter = tmp_path / "run" / "adapter"
    merge = ("merge", "--model", GOLDEN / "llada-tiny", "--adapter", adapter, "--out")
    assert unmask(*merge, tmp_path / "student").returncode == 0
    refused = unmask(*merge, tmp_path / "student")
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"token_ids": [1, 7, 9]}\n')
    answer = unmask(
        "generate", "--model", tmp_path / "student", "--prompts", prompts, "--max-new-tokens", 8
    )
    assert answer.returncode == 0, answer.stderr


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "run" / "unmask"))
    found.Reload()
    return {name: {one.step: one.value for one in found.Scalars(name)} for name in ("loss", "rate")}


def shown(folder):
    [path] = (folder / "trackio").glob("*.db")
    with sqlite3.connect(path) as base:
        lines = base.execute("select step, metrics from metrics").fetchall()
    lines = [(step, json.loads(metrics)) for step, metrics in lines]
    return {
        name: {step: line[name] for step, line in lines if name in line}
        for name in ("loss", "rate")
    }


def synced(folder):
    """Offline, a run is one file of records, with every key and number as text."""
    [path] = (folder / "run" / "wandb").glob("offline-run-*/*.wandb")
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("follower", ["tensorboard", "wandb", "trackio"])
def test_followers_are_told_what_the_log_says(data, tmp_path, monkeypatch, follower):
    """The library itself, and the files that it writes."""
    pytest.importorskip(follower)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.chdir(tmp_path)
    done = run_of(data, tmp_path / "run", "--follow", follower)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    if follower == "wandb":
        told = synced(tmp_path)
        assert all(json.dumps(line["loss"]).encode() in told for line in lines)
        assert not (tmp_path / "wandb").exists(), "what it writes lies in the run's folder"
        return
    found = scalars(tmp_path) if follower == "tensorboard" else shown(tmp_path)
    for name, values in found.items():
        assert values == pytest.approx({line["step"]: line[name] for line in lines}, rel=1e-6)


@pytest.mark.skipif(bool(find_spec("wandb")), reason="wandb is installed")
def test_a_follower_that_is_not_there_is_one_line(data, tmp_path):
    done = run_of(data, tmp_path / "run", "--follow", "wandb")
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "--follow wandb is not installed; pip install wandb" in line
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.slow
def test_doctor_reports_and_refuses(data, tmp_path, monkeypatch):
    """It writes nothing, not even behind a harvest that was killed within a line."""
    folder = shutil.copytree(data, tmp_path / "torn")
    with (folder / "manifest.jsonl").open("a") as file:
        file.write('{"shard": "shard-0')
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    monkeypatch.chdir(tmp_path)
    call = ("doctor", "--model", GOLDEN / "llada-tiny", "--data", folder, "--recipe", "d3llm-tiny")
    fine = unmask(*call, "--set", "batch=4")
    assert fine.returncode == 0, fine.stderr
    assert re.search(r"a step +\d+\.\d\d to \d+\.\d\d s, 100 steps: \d+ (s|min)", fine.stdout)
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["torn"]
    for word in ("usable", "held out", "padding", "a step", "at its peak", "GiB"):
        assert word in fine.stdout
    few = unmask(*call, "--set", "batch=4000")
    assert few.returncode == 2
    assert "fewer texts than one batch" in few.stderr
    empty = unmask(*call, "--set", "max_length=5")
    assert empty.returncode == 2
    assert "longer than 5 positions" in empty.stderr


@pytest.mark.slow
def test_a_damaged_folder_is_said_and_the_command_for_it_mends_it(data, tmp_path):
    """A run whose newest save is damaged, on a harvest with a damaged shard."""
    folder, out = shutil.copytree(data, tmp_path / "harvest"), tmp_path / "run"
    assert run_of(folder, out, "--save-every", 1).returncode == 0
    [tensors] = (out / "state-000003").glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-5])
    again = run_of(folder, out, "--save-every", 1)
    assert again.returncode == 0
    [line] = [one for one in again.stderr.splitlines() if "damaged" in one]
    assert "the run goes on from the one before, of step 2" in line
    [shard] = folder.glob("shard-*")
    shard.write_bytes(shard.read_bytes()[:-5])
    refused = run_of(folder, out)
    assert refused.returncode == 2
    [line] = refused.stderr.strip().splitlines()
    assert "is damaged; give its unmask harvest command again" in line
    mended = unmask(
        "harvest", "--answers", data.parent / "rows.jsonl", "--model", GOLDEN / "llada-tiny",
        "--out", folder,
    )  # fmt: skip
    assert mended.returncode == 0, mended.stderr
    assert f"{shard.name} is damaged" in mended.stderr
    assert "40 samples" in mended.stdout
    twice = run_of(folder, tmp_path / "other", "--data", folder, folder)
    assert "names a folder twice" in twice.stderr


@pytest.mark.slow
def test_two_harvests_at_once_are_one(tmp_path):
    """Started together, as by a cluster that starts a job again: one of them answers, and whatever
    the other says, nothing stands there twice."""
    folder = tmp_path / "harvest"
    call = ("harvest", "--task", "stories", "--count", 24, "--model", "tiny", "--shard-size", 4,
            "--max-new-tokens", 64, "--out", folder)  # fmt: skip
    both = [started(*call) for _ in range(2)]
    told = [one.communicate(timeout=PATIENCE)[1] for one in both]
    codes = sorted(one.returncode for one in both)
    assert codes in ([0, 0], [0, 2]), told  # not at once after all, if the machine is that busy
    if codes == [0, 2]:
        assert "is being written by another run; wait or give another folder" in "".join(told)
    assert sorted(sample.index for sample in read(folder)) == list(range(24))


@pytest.mark.slow
def test_an_interrupted_harvest_keeps_what_was_answered(tmp_path):
    folder = tmp_path / "harvest"
    call = ("harvest", "--task", "stories", "--count", 400, "--model", "tiny", "--batch-size", 2,
            "--shard-size", 400, "--max-new-tokens", 64, "--out", folder)  # fmt: skip
    one = started(*call)
    end = time.monotonic() + PATIENCE
    while not (folder / "manifest.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(3)
    one.send_signal(signal.SIGINT)
    told = one.communicate(timeout=PATIENCE)[1]
    assert one.returncode == 130, told
    assert 0 < len(list(read(folder))) < 400


@pytest.mark.slow
def test_answers_of_others_and_the_base_objective(tmp_path):
    answers = tmp_path / "answers.jsonl"
    row = {"prompt": "Mia has 3 apples.", "answer": "So she has 3."}
    answers.write_text(f"{json.dumps(row)}\n" * 6)
    done = unmask("harvest", "--answers", answers, "--max-new-tokens", 24, "--out", tmp_path / "d")
    assert done.returncode == 0, done.stderr
    assert "6 samples" in done.stdout
    trained = unmask(
        "train", "--data", tmp_path / "d", "--out", tmp_path / "run", "--steps", 2, "--set",
        "batch=2",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "student" / "tokenizer.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("distill", "--recipe", "d4", "--data", "x", "--out", "y"), "recipe='d4' is not known"),
        (("distill", "--recipe", "d3llm-tiny", "--data", "nowhere", "--out", "y"), "nowhere"),
        (("distill", "--data", "x", "--out", "y"), "--recipe"),
        (("train", "--data", "x", "--out", "y", "--set", "rate"), "'rate' has no '='"),
        (("train", "--data", "x", "--out", "y", "--steps", "0"), "steps=0"),
        (("train", "--data", "x", "--out", "y", "--set", "decode.preset=d4"), "preset='d4' is not"),
        (("train", "--data", "x", "--out", "y", "--model", "tiny-ar"), "is causal"),
        (("merge", "--model", "tiny", "--adapter", "nowhere", "--out", "y"), "nowhere"),
        (("harvest", "--answers", "nowhere.jsonl", "--out", "z"), "cannot be read"),
        (("harvest", "--answers", "a.jsonl", "--task", "stories", "--out", "z"), "drop --task"),
        (("harvest", "--task", "stories", "--check", "exact", "--out", "z"), "--check is for"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = unmask(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
