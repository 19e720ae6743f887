"""The command line: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import as_process, line, unmask

QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
KEYS = {
    "text", "token_ids", "tokens", "forwards", "tokens_per_forward", "fed_positions", "seconds",
    "tokens_per_second", "peak_memory_bytes", "preset", "model",
}  # fmt: skip

# A process started in the background by a shell without job control inherits a deaf SIGINT.
HEARING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from unmask.__main__ import run
sys.exit(run())
"""


def test_generate_prints_the_answer_and_a_line_of_figures():
    done = as_process("generate", QUESTION)
    assert done.returncode == 0, done.stderr
    answer, figures = done.stdout.splitlines()
    assert answer.endswith("The answer is 19.")
    assert "tiny-fast · d3llm" in figures
    assert "forwards" in figures


@pytest.mark.parametrize("preset", ["fast-dllm", "vanilla"])
def test_generate_json_prints_one_object_with_every_key(preset):
    done = unmask("generate", QUESTION, "--preset", preset, "--json")
    found = json.loads(done.stdout)
    assert set(found) == KEYS
    assert found["preset"] == preset
    assert found["tokens_per_forward"] == pytest.approx(
        found["tokens"] / found["forwards"], abs=1e-3
    )
    assert len(found["token_ids"]) == 96  # the whole canvas of the built-in model


def test_fast_dllm_needs_fewer_forwards_and_positions_than_vanilla():
    fast, slow = (
        json.loads(unmask("generate", QUESTION, "--preset", preset, "--json").stdout)
        for preset in ("fast-dllm", "vanilla")
    )
    assert slow["forwards"] == 96
    assert fast["forwards"] < 48
    assert fast["fed_positions"] * 4 < slow["fed_positions"]


def test_infill_keeps_the_fixed_text_and_fills_the_gaps():
    fixed = (
        "We solve this in small steps. Mia starts with[1] apples. Step 1: Mia[2] apples, "
        "so 12 + 7 =[1]. In the end Mia has[1] apples. The answer is[1]."
    )
    done = unmask("generate", QUESTION, "--infill", fixed, "--json")
    assert json.loads(done.stdout)["text"] == (
        "We solve this in small steps. Mia starts with 12 apples. Step 1: Mia buys 7 apples, "
        "so 12 + 7 = 19. In the end Mia has 19 apples. The answer is 19."
    )


def test_a_saved_trajectory_can_be_inspected(tmp_path):
    path = tmp_path / "mia.trajectory"
    written = json.loads(unmask("generate", QUESTION, "--json", "--save", path).stdout)
    done = unmask("inspect", path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == written["forwards"] + 1  # and a heading
    assert "<|end|>" in done.stdout


def test_chat_answers_line_by_line():
    done = as_process("chat", input=f"{QUESTION}\n\n")
    assert done.returncode == 0, done.stderr
    assert "The answer is 19." in done.stdout


def test_models_lists_built_in_models_and_families():
    shown = unmask("models").stdout
    for name in ("tiny", "tiny-ar", "llada", "dream"):
        assert name in shown


@pytest.mark.slow
def test_bench_json_has_a_row_for_every_decoder():
    done = unmask("bench", "--task", "sudoku", "--count", 1, "--rounds", 1, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert set(rows) == {
        "vanilla", "vanilla, early stop", "d3llm, delayed cache", "d3llm, sliding cache",
        "fast-dllm, no cache", "fast-dllm, prefix cache", "fast-dllm, dual cache",
        "d3llm, distilled (tiny-fast)", "autoregressive (tiny-ar)",
    }  # fmt: skip
    assert rows["vanilla"]["to_vanilla"] == 1
    assert rows["fast-dllm, dual cache"]["fed_positions"] < rows["vanilla"]["fed_positions"] / 4


@pytest.mark.slow
def test_bench_prints_a_table():
    done = unmask("bench", "--task", "sudoku", "--count", 1, "--rounds", 1)
    assert "tokens/s" in done.stdout
    assert "fast-dllm, dual cache" in done.stdout
    assert "fast-dllm, dual cache, round 1 of 1" in done.stderr


def test_a_batch_is_answered_in_full_and_not_answered_twice(tmp_path):
    prompts, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [{"prompt": QUESTION}, {"messages": [{"role": "user", "content": QUESTION}]}]
    prompts.write_text("\n".join(map(json.dumps, lines)))
    first = unmask("generate", "--prompts", prompts, "--out", out)
    assert first.returncode == 0, first.stderr
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(answer["index"] for answer in answers) == [0, 1]
    assert answers[0]["token_ids"] == answers[1]["token_ids"]
    before = out.read_text()
    unmask("generate", "--prompts", prompts, "--out", out)
    assert out.read_text() == before


def test_a_half_written_line_is_dropped_and_answered_again(tmp_path):
    prompts, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts.write_text(f"{json.dumps({'prompt': QUESTION})}\n" * 2)
    unmask("generate", "--prompts", prompts, "--out", out)
    whole = out.read_text()
    out.write_text(whole[: len(whole) - 40])
    unmask("generate", "--prompts", prompts, "--out", out)
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(answer["index"] for answer in answers) == [0, 1]


@pytest.mark.slow
def test_an_interrupted_batch_goes_on_without_loss(tmp_path):
    prompts, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts.write_text(f"{json.dumps({'prompt': QUESTION})}\n" * 8)
    command = ["generate", "--prompts", str(prompts), "--out", str(out), "--preset", "vanilla"]
    process = subprocess.Popen(
        [sys.executable, "-c", HEARING, *command, "--batch-size", "1"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (out.exists() and out.read_text().count("\n") >= 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    done = out.read_text().count("\n")
    assert 2 <= done < 8
    again = unmask(*command, "--batch-size", 16)
    assert again.returncode == 0, again.stderr
    indices = [json.loads(line)["index"] for line in out.read_text().splitlines()]
    assert sorted(indices) == list(range(8))


def test_a_file_that_holds_no_answers_is_left_as_it_is(tmp_path):
    prompts, out = tmp_path / "in.jsonl", tmp_path / "notes.txt"
    prompts.write_text(json.dumps({"prompt": QUESTION}))
    for text in ("my notes\nline two", "[1]\n", '{"index": 0}\n', "no newline", "\udcff"):
        out.write_text(text, errors="surrogateescape")
        before = out.read_bytes()
        done = unmask("generate", "--prompts", prompts, "--out", out)
        assert done.returncode == 2
        assert done.stderr.startswith(f"unmask: --out {out}")
        assert out.read_bytes() == before


def test_answers_of_other_settings_are_not_taken_for_these(tmp_path):
    prompts, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts.write_text(json.dumps({"prompt": QUESTION}))
    unmask("generate", "--prompts", prompts, "--out", out, "--max-new-tokens", 8)
    done = unmask("generate", "--prompts", prompts, "--out", out, "--max-new-tokens", 16)
    assert done.returncode == 2
    assert "no answer to these prompts with these settings" in done.stderr


def test_a_settings_file_that_says_something_else_is_other_settings(tmp_path):
    prompts, out, settings = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "settings"))
    prompts.write_text(json.dumps({"prompt": QUESTION}))
    call = ("generate", "--prompts", prompts, "--out", out, "--settings", settings)
    for preset, status in (("d3llm", 0), ("d3llm", 0), ("dparallel", 2)):
        settings.write_text(json.dumps({"preset": preset, "overrides": {"max_new_tokens": 8}}))
        assert unmask(*call).returncode == status


LINES = {
    "half a character": '{"prompt": "\\ud800"}',
    "messages that are numbers": '{"messages": [1, 2]}',
    "ids that are text": '{"token_ids": ["a"]}',
    "nothing": '{"prompt": " "}',
    "an endless nest": "[" * 100_000,
    "an endless number": '{"token_ids": [' + "9" * 5000 + "]}",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_bad_line_is_named(line, tmp_path):
    prompts = tmp_path / "in.jsonl"
    prompts.write_text(json.dumps({"prompt": "hi\u2028there"}) + "\n" + line)
    done = unmask("generate", "--prompts", prompts)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"unmask: {prompts}, ")
    assert " 2: " in done.stderr


def test_a_trajectory_is_saved_though_nobody_reads_the_answer(tmp_path):
    path = tmp_path / "x.trajectory"
    command = f"{sys.executable} -m unmask generate hi --max-new-tokens 8 --save {path} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert path.exists()
    assert done.stderr == ""


def test_an_output_that_cannot_be_written_is_told_in_one_line():
    with Path("/dev/full").open("w") as full:
        command = line("generate", "hi", "--max-new-tokens", 8)
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_terminal_without_unicode_is_no_error():
    done = as_process("generate", QUESTION, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "The answer is" in done.stdout


@pytest.mark.slow
def test_tune_writes_settings_that_generate_takes(tmp_path):
    path = tmp_path / "settings.json"
    done = unmask(
        "tune", "--model", "tiny-fast", "--task", "sudoku", "--count", 1, "--out", path, "--json"
    )
    heard = done.stderr.splitlines()  # somebody who reads a pipe hears of every rung
    assert heard[0].startswith("vanilla: ")
    assert "tokens a forward, 100.0 %" in heard[1]
    assert heard[1].startswith("fast-dllm, dual at 0.99: ")
    assert "vanilla, round 1 of 1" in heard
    found = json.loads(done.stdout)
    assert found["best"]["forwards"] < found["base"]["forwards"]
    assert json.loads(path.read_text())["task"] == "sudoku"
    answer = unmask("generate", QUESTION, "--settings", path, "--json")
    assert json.loads(answer.stdout)["preset"] == found["best"]["preset"]


def test_a_harvest_goes_on_where_it_was_and_tells_what_it_came_to(tmp_path):
    command = ["harvest", "--task", "stories", "--out", tmp_path / "h", "--shard-size", 2, "--json"]
    done = unmask(*command, "--count", 4)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 4
    before = {path.name: path.read_bytes() for path in (tmp_path / "h").iterdir()}
    assert len(before.keys() - {".lock"}) == 3
    again = unmask(*command, "--count", 4)
    assert again.stdout == done.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "h").iterdir()} == before
    other = unmask(*command, "--count", 4, "--preset", "vanilla")
    assert other.returncode == 2
    assert "other settings (preset)" in other.stderr


BAD = {
    "harvest of nothing": (["harvest", "--out", "x"], "either --task or --prompts"),
    "harvest of an unknown task": (["harvest", "--out", "x", "--task", "sums"], "task='sums'"),
    "words without quotes": (["generate", "two", "words"], "needs quotes"),
    "a number that is none": (["generate", "hi", "--pause", "x"], "--pause"),
    "no valid text": (["generate", "\udcff"], "no valid Unicode"),
    "nowhere to save": (["generate", "hi", "--save", "/no/such/x"], "--save /no/such/x"),
    "a folder to save to": (["generate", "hi", "--save", "/"], "--save /"),
    "bench with a preset": (["bench", "--preset", "d3llm"], "drop --preset"),
    "bench of a task and a file": (["bench", "--task", "x", "--prompts", "y"], "--task"),
    "bench against a masked twin": (["bench", "--ar-model", "tiny"], "--ar-model tiny"),
    "bench of a causal model": (["bench", "--model", "tiny-ar", "--cache", "dual"], "cache"),
    "infill and length": (["generate", "--infill", "a[2]", "--max-new-tokens", "5"], "--infill"),
    "no settings": (["generate", "hi", "--settings", "/no/file"], "/no/file"),
    "tune of a causal model": (["tune", "--model", "tiny-ar"], "is causal"),
    "tune of no points": (["tune", "--budget", "-1"], "budget=-1"),
    "unknown model": (["generate", "hi", "--model", "nope"], "model='nope'"),
    "unknown preset": (["generate", "hi", "--preset", "fats-dllm"], "preset='fats-dllm'"),
    "unknown strategy": (["generate", "hi", "--strategy", "treshold"], "did you mean 'threshold'"),
    "unknown cache": (["generate", "hi", "--cache", "both"], "cache='both'"),
    "unknown device": (["generate", "hi", "--device", "tpu"], "device='tpu'"),
    "unknown dtype": (["generate", "hi", "--dtype", "int4"], "dtype='int4'"),
    "empty prompt": (["generate", ""], "prompt is empty"),
    "no prompt": (["generate"], "no prompt"),
    "no tokens to write": (["generate", "hi", "--max-new-tokens", "0"], "max_new_tokens=0"),
    "negative length": (["generate", "hi", "--max-new-tokens", "-1"], "max_new_tokens=-1"),
    "too long": (["generate", "hi", "--max-new-tokens", "5000"], "max_new_tokens=5000"),
    "threshold over 1": (["generate", "hi", "--model=tiny", "--threshold", "1.5"], "threshold=1.5"),
    "threshold nan": (["generate", "hi", "--threshold", "nan"], "threshold=nan"),
    "factor 0": (["generate", "hi", "--factor", "0"], "factor=0"),
    "two rules": (["generate", "hi", "--factor", "1", "--threshold", "1"], "factor and threshold"),
    "top-p at temperature 0": (["generate", "hi", "--top-p", "0.9"], "top_p=0.9"),
    "uneven steps": (["generate", "hi", "--preset", "vanilla", "--steps", "7"], "steps=7"),
    "causal model, masked preset": (
        ["generate", "hi", "--model", "tiny-ar", "--preset", "fast-dllm"], "preset='fast-dllm'",
    ),
    "masked model, causal preset": (["generate", "hi", "--preset", "ar"], "preset='ar'"),
    "zero prompts": (["bench", "--count", "0"], "count=0"),
    "unknown task": (["bench", "--task", "sudoko"], "did you mean 'sudoku'"),
    "no trajectory": (["inspect", "/no/such/file"], "/no/such/file"),
    "no file of prompts": (["generate", "--prompts", "/no/such/file"], "/no/such/file"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line_with_exit_code_2(arguments, told):
    done = unmask(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.startswith("unmask: ")
    assert done.stderr.count("\n") == 1


def test_a_process_that_got_bad_input_ends_with_2_and_one_line():
    done = as_process("generate", "hi", "--preset", "fats-dllm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unmask: preset='fats-dllm'")
    assert done.stderr.count("\n") == 1


def test_every_command_has_help_with_an_example():
    for command in ("generate", "chat", "bench", "tune", "harvest", "inspect", "models"):
        done = unmask(command, "--help")
        assert done.returncode == 0
        assert f"unmask {command}" in done.stdout.split("examples:")[1]
