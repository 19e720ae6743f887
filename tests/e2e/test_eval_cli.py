"""unmask eval: figures, resuming after Ctrl-C and after kill -9, bad input."""

import json
import signal
import time
from pathlib import Path

import pytest

import commands
from unmask.cli.main import main
from unmask.evaluate.record import read


def unmask(*arguments):
    return commands.unmask("eval", *arguments)


def timeless(path):
    return {record.key: (record.text, record.forwards, record.tokens) for record in read(path)}


def test_points_and_aup(tmp_path):
    out = tmp_path / "records.jsonl"
    done = unmask(
        "--model", "tiny-fast", "--count", 4, "--sweep", "threshold=0.1,0.5", "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert "tiny-fast d3llm" in done.stdout
    assert "AUP of tiny-fast d3llm on stories: none that can be compared" in done.stdout
    assert "sweep a setting that writes one as well, say threshold=0 for d3llm" in done.stdout
    assert "8/8" in done.stderr
    again = unmask(
        "--model", "tiny-fast", "--count", 4, "--sweep", "threshold=0.1,0.5", "--out", out, "--json"
    )
    found = json.loads(again.stdout)
    assert [point["answers"] for point in found["points"]] == [4, 4]
    assert len(out.read_text().splitlines()) == 8  # nothing was answered twice
    [area] = found["aup"]
    assert (area["aup"], area["comparable"]) == (None, False)
    assert area["start"] == min(point["tokens_per_forward"][0] for point in found["points"]) > 2


def test_a_sweep_from_one_token_a_forward_has_an_area(tmp_path):
    given = ("--model", "tiny-fast", "--count", 2, "--sweep", "threshold=0,0.1")
    given += ("--max-new-tokens", 48, "--out", tmp_path / "records.jsonl")
    done, again = unmask(*given), unmask(*given, "--json")
    [area] = json.loads(again.stdout)["aup"]
    assert area["comparable"]
    assert area["start"] <= 1
    assert (
        f"AUP of tiny-fast d3llm on stories: {area['aup']:.1f}, from {area['start']:.2f} tokens "
        "per forward on" in done.stdout
    )


def test_a_translation_has_no_accuracy(tmp_path):
    pytest.importorskip("sacrebleu")
    data = Path(__file__).parent.parent / "data"
    given = ("--task", "translation/de-en", "--data", data, "--model", "tiny", "--count", 2)
    given += ("--max-new-tokens", 4, "--out", tmp_path / "records.jsonl")
    done, again = unmask(*given), unmask(*given, "--json")
    [point] = json.loads(again.stdout)["points"]
    assert point["metric"] == "chrf"
    assert len(point["mean_chrf"]) == 3
    assert isinstance(point["chrf"], float)  # of all sentences together
    assert "accuracy" not in point
    assert "sentence chrF" in done.stdout
    assert "sentence chrF" in done.stderr
    assert "right" not in done.stderr


def test_a_label_is_shown_as_it_was_given(tmp_path):
    label, out = "[/bold] [mine]", tmp_path / "[/a].jsonl"
    done = unmask("--model", "tiny-fast", "--count", 1, "--method", label, "--out", out)
    assert done.returncode == 0, done.stderr
    assert label in done.stdout
    assert f"records: {out}" in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_goes_on(how, tmp_path):
    out = tmp_path / "records.jsonl"
    length = ("--max-new-tokens", 48)
    given = ("--model", "tiny", "--preset", "vanilla", "--count", 4, *length, "--out", out)
    running = commands.started("eval", *given)
    deadline = time.monotonic() + 120
    while not (out.exists() and out.read_bytes().count(b"\n") >= 2):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert "Traceback" not in said
    before = out.read_bytes()
    done = unmask(*given)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(before[: before.rindex(b"\n")])
    assert len(timeless(out)) == len(list(read(out))) == 4
    fresh = tmp_path / "fresh.jsonl"
    assert unmask(*given[:-1], fresh).returncode == 0
    assert timeless(fresh) == timeless(out)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--task", "storys"), "did you mean 'stories'"),
        (("--task", "stories", "stories"), "names one twice"),
        (("--sweep", "threshold=0.1", "--threshold", "0.2"), "both swept and given"),
        (("--count", "0"), "count=0"),
        (("--mode", "likelihood"), "no choices to rank"),
        (("--style", "verse"), "style='verse'"),
        (("--preset", "ar"), "does not fit"),
        (("--task", "snips", "--data", "/nowhere"), "has no file for task snips"),
    ],
)
def test_bad_input(given, said, tmp_path):
    out = tmp_path / "records.jsonl"
    done = unmask(*given, "--out", out)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists() or not out.read_bytes()


def test_a_file_of_something_else_is_kept(tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes\n")
    done = unmask("--count", 1, "--out", out)
    assert done.returncode == 2
    assert "no valid JSON" in done.stderr
    assert out.read_text() == "my notes\n"


def test_all_tasks_whose_data_is_at_hand(tmp_path):
    """tests/data is laid out as a user's data folder."""
    data = Path(__file__).parent.parent / "data"
    done = unmask(
        "--task", "all", "--data", data, "--count", 1, "--max-new-tokens", 4, "--batch-size", 4,
        "--model", "tiny", "--out", tmp_path / "records.jsonl", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {point["task"] for point in json.loads(done.stdout)["points"]}
    assert {"stories", "gsm8k", "math500", "squad", "glue/sst2", "translation/de-en"} <= found
    assert "left out: " in done.stderr  # snips is not there


def test_choices_are_ranked(tmp_path):
    data = Path(__file__).parent.parent / "data"
    done = unmask(
        "--task", "glue/sst2", "glue/cola", "--mode", "likelihood", "--samples", 4, "--count", 2,
        "--data", data, "--model", "tiny", "--out", tmp_path / "records.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "matthews" in done.stdout
    for record in read(tmp_path / "records.jsonl"):
        assert record.mode == "likelihood"
        likely = {
            name.removeprefix("log-likelihood of "): value
            for name, value in record.scores.items()
            if name.startswith("log-likelihood of ")
        }
        assert record.text == max(likely, key=likely.__getitem__)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--harness", "a", "--sweep", "threshold=1"], "--sweep is for our own tasks"),
        (["--harness", "a", "--style", "plain"], "--style is for our own tasks"),
        (["--harness", "a", "--mode", "likelihood"], "drop --mode likelihood"),
        (["--harness", "a", "--shots", "-1"], "shots=-1"),
        (["--shots", "0"], "--shots is for lm-eval's tasks"),
        (["--include-path", "a"], "--include-path is for lm-eval's tasks"),
        (["--chat"], "--chat is for lm-eval's tasks"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(given, said, capsys):
    assert main(["eval", *given]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_task_of_the_harness(tmp_path):
    pytest.importorskip("lm_eval")
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = Path(__file__).parent.parent / "data" / "harness"
    for path in data.iterdir():
        text = path.read_text().replace("HERE", str(folder))
        (folder / path.name).write_text(text)
    out = tmp_path / "results.json"
    name = next(
        line.split(":")[1].strip()
        for line in (folder / "generate.yaml").read_text().splitlines()
        if line.startswith("task:")
    )
    done = unmask(
        "--harness", name, "--include-path", folder, "--count", 2, "--model", "tiny", "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    results = json.loads(out.read_text())["results"][name]
    first, second = read(out)
    rate = (first.tokens + second.tokens) / (first.forwards + second.forwards)
    assert results["tokens_per_forward,none"] == pytest.approx(rate)
    assert "tokens_per_forward" in done.stdout
    board = commands.unmask("leaderboard", out)
    assert board.returncode == 0, board.stderr
    assert f"lm-eval/{name}, measured" in board.stdout
    assert f"{rate:.2f}" in board.stdout
