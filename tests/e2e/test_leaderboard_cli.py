"""`unmask leaderboard` and `unmask plot`: once each as a process, else through `main`."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from commands import as_process
from records import answers, sweep
from unmask.canvas.trajectory import Trajectory
from unmask.cli.main import main

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    plain, packed = folder / "a.jsonl", folder / "b.jsonl.gz"
    plain.write_text("".join(row.line() + "\n" for row in sweep(task="gsm8k")))
    with gzip.open(packed, "wt") as file:
        file.writelines(row.line() + "\n" for row in sweep("vanilla", "gsm8k", speeds=(1,)))
    return [plain, packed]


def test_a_board_of_two_files_twice_the_same(runs, tmp_path):
    options = ("--format", "svg", "--out")
    done = as_process("leaderboard", *runs, *options, tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "gsm8k, measured" in done.stdout
    assert "vanilla" in done.stdout
    assert main(["leaderboard", *map(str, runs), *options, str(tmp_path / "two")]) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files.keys() == {
        "leaderboard.md", "leaderboard.csv", "curves-gsm8k-measured.svg",
        "curves-gsm8k-measured-dark.svg", "means-measured.svg", "means-measured-dark.svg",
    }  # fmt: skip
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    page = files["leaderboard.md"].decode()
    assert all(name in page for name in files if name.endswith(".svg"))


def test_the_published_board_alone_has_radars(tmp_path, capsys):
    assert (
        main(["leaderboard", "--family", "dream", "--out", str(tmp_path), "--theme", "light"]) == 0
    )
    assert "305.33" in capsys.readouterr().out
    assert (tmp_path / "radar-dream-published.svg").exists()


def test_a_picture_as_a_process(runs, tmp_path):
    out = tmp_path / "picture.svg"
    done = as_process("plot", "curves", *runs, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "d3llm" in out.read_text()


@pytest.mark.parametrize(
    "options",
    [
        ["curves", "--family", "dream", "--task", "gsm8k"],
        ["bars", "--figure", "tokens-per-second"],
    ],
)
def test_pictures_of_records(options, runs, tmp_path):
    out = tmp_path / "picture.png"
    assert main(["plot", *options, *map(str, runs), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_radar_of_what_is_published(tmp_path):
    out = tmp_path / "picture.png"
    assert main(["plot", "radar", "--family", "LLaDA", "--theme", "dark", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_heat_map_of_two_files(tmp_path):
    births = np.array([0, 1, 1, 2, 2], dtype=np.int32)
    ids, fed = np.array([5, 6, 7, 0, 0]), np.array([4, 4])
    film, out = str(tmp_path / "a.trajectory"), tmp_path / "picture.svg"
    Trajectory(ids, births, 1, 99, fed, "tiny", "blocks").save(tmp_path / "a.trajectory")
    options = ["--names", "first", "second", "--block-length", "2"]
    assert main(["plot", "heat", film, film, *options, "--out", str(out)]) == 0
    assert "second" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["leaderboard"], "nothing to show"),
        (["leaderboard", "--family", "gpt"], "family='gpt' is not known"),
        (["leaderboard", "missing.jsonl"], "cannot be read"),
        (["plot", "curves", "--out", "a.svg"], "nothing to draw"),
        (["plot", "curves", "--published", "--out", "a.svg"], "choose by --task and --family"),
        (["plot", "radar", "--published", "--out", "a.svg"], "choose by --family"),
        (["plot", "bars", "--family", "Coder", "--out", "a.gif"], "end it in .svg"),
        (["plot", "heat", "--names", "a", "--out", "a.svg"], "1 for 0 trajectories"),
        (["plot", "bars", "--published", "--task", "x", "--out", "a.svg"], "for task x"),
    ],
)
def test_mistakes_are_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1


def test_labels_are_shown_as_they_were_given(tmp_path, capsys):
    """Neither rich's markup nor formulas of matplotlib."""
    label, path = r"[/d] [red]x $\no$", tmp_path / "a.jsonl"
    path.write_text("".join(row.line() + "\n" for row in sweep(label, "gsm8k")))
    out = tmp_path / "[b]"
    assert main(["leaderboard", str(path), "--out", str(out), "--theme", "light"]) == 0
    said = capsys.readouterr().out
    assert said.count(label) == 2
    assert f"{out}: leaderboard.md" in said.replace("\n", "")
    assert r"$\no$" in (out / "curves-gsm8k-measured.svg").read_text()


def test_bars_of_methods_that_are_never_right(tmp_path):
    path, out = tmp_path / "a.jsonl", tmp_path / "a.svg"
    path.write_text("".join(row.line() + "\n" for row in answers(4, 0, forwards=60)))
    assert main(["plot", "bars", str(path), "--out", str(out)]) == 0


def test_records_given_twice_are_refused(runs, capsys):
    assert main(["leaderboard", str(runs[0]), str(runs[0])]) == 2
    assert "stands there twice" in capsys.readouterr().err
