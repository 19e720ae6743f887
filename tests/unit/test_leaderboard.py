"""Which curves share a table, and what is written about them."""

import csv
import io
from dataclasses import replace

from records import answers, sweep
from unmask.evaluate import published
from unmask.evaluate.aup import aup
from unmask.evaluate.leaderboard import MATH, PROTOCOL, averages, tables
from unmask.evaluate.metrics import curves, points
from unmask.evaluate.sheet import COLUMNS, markdown, table_csv

BOARD = published.leaderboard()


def measured(*rows):
    return curves(points([row for part in rows for row in part]))


def by_title(found):
    return {table.title: table for table in found}


def test_published_curves_stand_beside_ours_where_the_questions_are_the_same():
    ours = measured(sweep(task="gsm8k"), sweep(task="math500"))
    found = by_title(tables(ours, ["LLaDA"]))
    assert list(found)[:3] == [
        "gsm8k, measured",
        "gsm8k, with published LLaDA",
        "math500, measured",
    ]
    assert "GSM8K-CoT, LLaDA, published" not in found
    assert "MATH, LLaDA, published" in found
    labels = {row.curve.label for row in found["gsm8k, with published LLaDA"].rows}
    assert {"d3llm", "d3LLM-LLaDA", "Qwen-2.5-7B-it"} <= labels
    assert PROTOCOL in " ".join(found["gsm8k, with published LLaDA"].notes)
    assert MATH in found["math500, measured"].notes


def test_one_scale_for_a_table_and_a_word_about_areas_that_it_moves():
    found = by_title(tables(measured(sweep(task="gsm8k")), ["LLaDA"]))
    mixed = found["gsm8k, with published LLaDA"]
    assert {row.best for row in mixed.rows} == {mixed.best} == {97.5}
    assert any("d3LLM-LLaDA 637.65" in note for note in mixed.notes)
    assert not by_title(tables([], ["LLaDA"]))["GSM8K-CoT, LLaDA, published"].notes


def test_different_examples_are_flagged():
    alike = tables(measured(sweep(), sweep("vanilla", speeds=(1,))))[0]
    assert alike.notes == ()
    unlike = tables(measured(sweep(), answers(30, 20, method="ar")))[0]
    assert "answered the same examples (ar 30, d3llm 40)" in unlike.notes[0]
    torn = tables(measured(sweep()[1:]))[0]
    assert "d3llm 39 to 40" in torn.notes[0]


def test_rows_are_sorted_by_area():
    areas = [
        row.area.value for row in tables(measured(sweep(), sweep("slow", speeds=(1, 2))))[0].rows
    ]
    assert areas == sorted(areas, reverse=True)


def test_averages_count_the_tasks_of_each_method():
    ours = measured(sweep(), sweep(task="sudoku"), sweep("vanilla", speeds=(1,)))
    found = {one.label: one for one in averages(ours)}
    assert (found["d3llm"].tasks, found["d3llm"].of) == (2, 2)
    assert (found["vanilla"].tasks, found["vanilla"].of) == (1, 2)
    assert found["d3llm"].own == found["d3llm"].area  # it is the best one


def test_nothing_generated_is_no_table():
    assert tables(measured(answers(4, 2, tokens=0, forwards=0))) == []


def test_markdown_says_what_stands_where():
    ours = measured(sweep(task="gsm8k"))
    text = markdown(tables(ours, ["LLaDA"]), averages(ours, ["LLaDA"]))
    assert "| d3LLM-LLaDA | published, LLaDA | 2 | 9.11 | 73.09 |  |" in text
    assert "## Mean AUP, LLaDA, published" in text
    assert "| d3LLM-LLaDA | 1.00 | 274.28 | 346.26 | 5 of 5 |" in text
    assert all(
        line.count("|") == 10 for line in text.splitlines() if line.startswith("| d3llm | m")
    )


def test_pictures_by_theme():
    ours = measured(sweep())
    both = {"stories, measured": {"light": "a.svg", "dark": "a-dark.svg"}}
    text = markdown(tables(ours), [], both)
    assert 'srcset="a-dark.svg"><img alt="stories, measured" src="a.svg"></picture>' in text
    one = {"stories, measured": {"dark": "a-dark.svg"}}
    assert "![stories, measured](a-dark.svg)" in markdown(tables(ours), [], one)


def test_csv_has_a_row_for_every_method_and_empty_cells_for_what_is_unknown():
    found = tables(measured(sweep(task="gsm8k")), ["LLaDA"])
    rows = list(csv.DictReader(io.StringIO(table_csv(found))))
    assert len(rows) == sum(len(table.rows) for table in found)
    assert tuple(rows[0]) == COLUMNS
    theirs = next(row for row in rows if row["method"] == "d3LLM-LLaDA")
    assert theirs["tokens_per_second"] == theirs["aup_low"] == ""
    assert theirs["printed_aup"] == "637.6549"
    assert rows[0]["answers"] == "40"


def test_the_same_records_give_the_same_text():
    rows = sweep() + sweep("vanilla", speeds=(1,))
    texts = {
        markdown(tables(measured(part)), averages(measured(part))) for part in (rows, rows[::-1])
    }
    assert len(texts) == 1


def gamed(task="stories", **given):
    """The same method as `sweep`, without its slow point."""
    return sweep("gamed", task, speeds=(10, 15), **given)


def test_a_curve_without_its_slow_point_has_no_area_and_no_rank():
    found = tables(measured(sweep(), gamed()))[0]
    assert aup([(10, 97.5), (15, 95.0)], 97.5).value > found.rows[0].area.value  # what it is for
    assert [row.curve.label for row in found.rows] == ["d3llm", "gamed"]
    last = found.rows[-1]
    assert last.area is last.own is None
    assert found.notes[-1].startswith(
        "No AUP for curves that start above 1.1 tokens per forward (gamed at 10.00): sweep"
    )
    means = averages(measured(sweep(), gamed()))
    assert [(one.label, one.start) for one in means] == [("d3llm", 1.0)]
    text = markdown([found], means)
    assert "| 10.00 | not comparable |  |" in text
    rows = list(csv.DictReader(io.StringIO(table_csv([found]))))
    assert [(row["comparable"], row["start"], row["aup"] == "") for row in rows] == [
        ("yes", "1", False), ("no", "10", True),
    ]  # fmt: skip


def test_its_accuracy_still_sets_the_scale_of_the_others():
    alone, together = tables(measured(sweep()))[0], tables(measured(sweep(), answers(40, 40)))[0]
    assert together.best == 100.0 > alone.best
    assert together.rows[0].area.value < alone.rows[0].area.value


def test_published_curves_go_by_the_same_rule(monkeypatch):
    late = published.Published("LLaDA", "GSM8K-CoT", "late", ((5.0, 74.0), (9.0, 74.0)), 670.0)
    monkeypatch.setattr(published, "leaderboard", lambda: (*BOARD, late))
    found = by_title(tables([], ["LLaDA"]))["GSM8K-CoT, LLaDA, published"]
    assert found.rows[-1].curve.label == "late"
    assert found.rows[-1].area is None
    assert "late at 5.00" in found.notes[-1]
    assert "late" not in [one.label for one in averages([], ["LLaDA"])]
    assert all(one.curve().comparable for one in BOARD)


def test_a_mean_over_fewer_tasks_stands_behind_one_over_all():
    """Leaving out the task that it is bad at would be the same trick."""
    hard = [*answers(40, 4, threshold=0.0, forwards=60, task="sudoku", method="d3llm")]
    found = averages(measured(sweep(), hard, sweep("picky")))
    assert [(one.label, one.tasks) for one in found] == [("d3llm", 2), ("picky", 1)]
    assert found[0].area < found[1].area


def test_a_score_that_is_no_accuracy_has_its_own_name():
    rows = [
        replace(row, right=0.4, scores={"chrf": 0.4})
        for row in sweep(task="translation/de-en", speeds=(1,))
    ]
    found = tables(measured(rows))
    text = markdown(found, [])
    assert "| tokens per forward | sentence chrF | tokens/s |" in text
    assert "Best sentence chrF (scale of AUP): 40.00." in text
    assert "accuracy (%)" not in text
