"""What the command line prints where there is little room, or nobody to watch a bar."""

import io

import pytest
from rich.table import Table

from records import answers, sweep
from unmask.cli import points, screen
from unmask.cli.main import main
from unmask.cli.screen import Bar, Screen
from unmask.errors import counted

NARROW = 44


def printed(table, width, **given):
    out = io.StringIO()
    Screen(file=out, width=width, **given).table(table)
    return out.getvalue()


def made():
    table = Table("decoder", "tokens per forward", "accuracy", "", box=None)
    table.add_row("fast-dllm, dual cache", "3.79", "97.5 % (96.3 to 98.3)", "best")
    table.add_row("vanilla", "0.68", "99.5 % (98.8 to 99.8)", "")
    return table


def test_a_table_that_fits_is_a_table():
    assert len(printed(made(), 80).splitlines()) == 3


def test_one_that_does_not_is_a_list_with_whole_cells():
    lines = [line.rstrip() for line in printed(made(), NARROW).splitlines()]
    assert lines == [
        "fast-dllm, dual cache",
        " tokens per forward 3.79",
        " accuracy           97.5 % (96.3 to 98.3)",
        "                    best",
        "vanilla",
        " tokens per forward 0.68",
        " accuracy           99.5 % (98.8 to 99.8)",
    ]


def test_columns_of_a_pipe_are_those_asked_for_else_many(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Screen(wide=140, file=io.StringIO()).width == 140
    monkeypatch.setenv("COLUMNS", str(NARROW))
    assert Screen(wide=140, file=io.StringIO()).width == NARROW


@pytest.mark.parametrize("command", ["leaderboard", "eval"])
def test_figures_can_be_read_in_44_columns(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(NARROW))
    rows, path = sweep(count=100), tmp_path / "a.jsonl"
    path.write_text("".join(row.line() + "\n" for row in rows))
    if command == "leaderboard":
        assert main(["leaderboard", str(path)]) == 0
    else:
        points.show(rows, {}, as_json=False, where=path)
    said = capsys.readouterr().out
    assert "97.0" in said
    assert "…" not in said
    figures = [line for line in said.splitlines() if " to " in line]
    assert all(line.count("(") == line.count(")") for line in figures)
    assert max(len(line.rstrip()) for line in figures) <= NARROW


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (1200, "1,200 tasks")]
)
def test_one_is_singular(number, said):
    assert counted(number, "task") == said


def test_a_bar_tells_a_pipe_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(screen, "TELL", 0)
    with Bar(transient=True) as bar:
        task = bar.add_task("answers", total=3)
        for number in range(3):
            bar.update(task, advance=1, description=f"after {number}")
            bar.advance(task, 0)
        bar.say("a line [red]of its own")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ━")[0] for line in lines[:6:2]] == ["after 0", "after 1", "after 2"]
    assert lines[6] == "a line [red]of its own"


def test_and_not_more_often_than_anybody_reads(capsys):
    with Bar(transient=True) as bar:
        task = bar.add_task("answers", total=1000)
        for _ in range(999):
            bar.advance(task)
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_what_is_no_accuracy_is_called_what_it_is(capsys, tmp_path):
    rows = [
        *answers(4, 2, task="stories"),
        *(row for row in answers(4, 2, task="squad", scores={"exact": 0.0, "f1": 0.5})),
        *(row for row in answers(4, 2, task="translation/de-en", scores={"chrf": 0.5})),
    ]
    points.show(rows, {}, as_json=False, where=tmp_path)
    said = capsys.readouterr().out
    assert "exact match 50.0 %" in said
    assert "sentence chrF 50.0 (" in said
    assert points.shown("accuracy", 50.0) == "50.0% right"
    assert points.shown("chrf", 45.25) == "sentence chrF 45.2"
