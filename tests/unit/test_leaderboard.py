"""Which curves share a table, and what is written about them."""

import csv
import io

from records import answers, sweep
from unmask.evaluate.leaderboard import MATH, PROTOCOL, averages, tables
from unmask.evaluate.metrics import curves, points
from unmask.evaluate.sheet import COLUMNS, markdown, table_csv


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
    assert "| d3LLM-LLaDA | 274.28 | 346.26 | 5 of 5 |" in text
    assert all(line.count("|") == 9 for line in text.splitlines() if line.startswith("| d3llm | m"))


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
