"""The programs in examples/, run as a reader would run them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

import unmask.decode.strategies
from serving import serving

FOLDER = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py"))
LONGEST = 60


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs an example in this process, and gives back its lines."""

    def go(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return go


def test_every_example_is_short_and_tried_here():
    own = Path(__file__).read_text()
    for name in PROGRAMS:
        assert len((FOLDER / name).read_text().splitlines()) < LONGEST
        assert f'run("{name}"' in own


def test_watching_shows_every_forward(run):
    lines = run("watch_commits.py")
    forwards = [line for line in lines if line.startswith("forward ")]
    assert len(lines) == 2 * len(forwards) + 1
    assert lines[-1].endswith("The answer is 19.")


def test_a_file_gets_a_line_for_every_question(run, tmp_path):
    asked = [f"Mia has {n} apples. She buys 4 apples. How many apples does Mia have now?"
             for n in (3, 5, 8)]  # fmt: skip
    (tmp_path / "in").write_text("\n".join(asked) + "\n\n")
    [line] = run("batch_file.py", tmp_path / "in", tmp_path / "out")
    rows = [json.loads(row) for row in (tmp_path / "out").read_text().splitlines()]
    assert [row["question"] for row in rows] == asked
    assert [row["answer"].rsplit(" ", 1)[1] for row in rows] == ["7.", "9.", "12."]
    assert line.startswith("3 answers")


def test_gaps_are_filled_and_the_rest_stays(run):
    text, figures = run("fill_gaps.py")
    assert text == (
        "Step 1: Mia buys 7 apples, so 12 + 7 = 19. In the end Mia has 19 apples. The answer is 19."
    )
    assert figures.startswith("3 tokens in ")


def test_two_presets_are_compared(run):
    slow, fast, same = run("compare_presets.py", "vanilla", "d3llm")
    forwards = [int(line.split()[1]) for line in (slow, fast)]
    assert forwards[0] > 3 * forwards[1]
    assert same.endswith("of 3 questions")


def test_an_own_rule_needs_no_change_of_the_package(run, monkeypatch):
    home = list(unmask.decode.strategies.__path__)
    monkeypatch.setattr(unmask.decode.strategies, "__path__", home)
    published, own = run("own_rule.py")
    sys.modules.pop("unmask.decode.strategies.per_block")
    assert "'threshold': 0.95}" in published
    assert "'most': 3" in own
    assert own.endswith("The answer is 19.")


@pytest.mark.slow
def test_a_server_is_asked(run, tmp_path):
    with serving(tmp_path / "log") as server:
        whole, figures, stream = run("ask_server.py", f"{server.url}/v1")
    assert whole == stream
    assert "tokens in" in figures
