"""harvest, doctor, distill, train and merge, on a tiny checkpoint."""

import json
import sqlite3
from importlib.util import find_spec

import pytest

from checkpoints import GOLDEN
from commands import unmask


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
    again = run_of(data, tmp_path / "run", "--look-every", 3)
    assert again.returncode == 0, again.stderr
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
def test_doctor_reports_and_refuses(data):
    call = ("doctor", "--model", GOLDEN / "llada-tiny", "--data", data, "--recipe", "d3llm-tiny")
    fine = unmask(*call, "--set", "batch=4")
    assert fine.returncode == 0, fine.stderr
    for word in ("usable", "held out", "padding", "a step", "at its peak", "GiB"):
        assert word in fine.stdout
    few = unmask(*call, "--set", "batch=4000")
    assert few.returncode == 2
    assert "fewer texts than one batch" in few.stderr
    empty = unmask(*call, "--set", "max_length=5")
    assert empty.returncode == 2
    assert "longer than 5 positions" in empty.stderr


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
