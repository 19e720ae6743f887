"""Tasks: right answers by another way of computing them, and splits that share nothing."""

from __future__ import annotations

import gzip
import itertools
import json
import re

import pytest

from unmask.evaluate.tasks import snips, stories, sudoku

MANY = 400
GAIN = "buys|finds|wins|collects|gets|picks up"
LOSE = "sells|loses|drops|gives away|throws out|uses up"


def some(task, split, seed=0, count=MANY):
    return list(itertools.islice(task.examples(split, seed), count))


def solved(prompt):
    """The number at the end of a story, from its words."""
    opening, *changes, _ = re.findall(r"[^.?]+[.?]", prompt)
    total = int(re.search(r"\d+", opening)[0])
    for change in changes:
        amount = re.search(r"\d+", change)
        if re.search(GAIN, change):
            total += int(amount[0])
        elif re.search(LOSE, change):
            total -= int(amount[0])
        else:
            total *= {"doubles": 2, "triples": 3}[re.search("doubles|triples", change)[0]]
    return total


def numbers(prompt):
    """What a story is about, without its wording: start, then signs and amounts."""
    opening, *changes, _ = re.findall(r"[^.?]+[.?]", prompt)
    kinds = (("+", GAIN), ("-", LOSE), ("*2", "doubles"), ("*3", "triples"))
    return tuple(
        (
            next((sign for sign, words in kinds if re.search(words, part)), "="),
            *re.findall(r"\d+", part),
        )
        for part in (opening, *changes)
    )


def shapes(prompt):
    """The wordings of a story: its sentences without names, things, verbs and numbers."""
    names = "|".join(itertools.chain(*stories.PEOPLE.values()))
    words = f"{names}|{'|'.join(stories.THINGS)}|{GAIN}|{LOSE}|doubles|triples"
    for sentence in re.findall(r"[^.?]+[.?]", prompt):
        yield re.sub(
            r"\b[Ss]?[Hh]e\b", "PRONOUN", re.sub(rf"\b({words}|\d+)\b", "#", sentence)
        ).strip()


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_answer_of_a_story_is_what_its_words_come_to(split):
    for example in some(stories, split):
        assert solved(example.prompt) == int(example.final)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_sum_written_in_a_story_is_right(split):
    for example in some(stories, split):
        steps = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", example.answer)
        assert steps
        for left, sign, right, total in steps:
            results = {"+": int(left) + int(right), "-": int(left) - int(right)}
            assert int(total) == results.get(sign, int(left) * int(right))
        assert steps[-1][3] == example.final


def test_stories_of_the_two_splits_share_no_numbers():
    train, test = ({numbers(e.prompt) for e in some(stories, split)} for split in ("train", "test"))
    assert not train & test
    assert min(len(train), len(test)) > MANY / 2


def test_stories_of_the_two_splits_share_no_sentence():
    train, test = (
        {shape for e in some(stories, split) for shape in shapes(e.prompt)}
        for split in ("train", "test")
    )
    assert not train & test


def test_a_story_scores_its_last_stated_answer():
    example = stories.Example("", "", "19")
    assert stories.score(example, "12 + 7 = 19. The answer is 19.")
    assert stories.score(example, "The answer is 18. No: The answer is 19.")
    assert not stories.score(example, "The answer is 19. No: The answer is 18.")
    assert not stories.score(example, "The answer is 190.")
    assert not stories.score(example, "19")


@pytest.mark.parametrize("task", [stories, sudoku])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_reference_answer_scores(task, split):
    assert all(task.score(example, example.answer) for example in some(task, split, count=100))


@pytest.mark.parametrize("task", [stories, sudoku])
def test_a_seed_fixes_the_examples_and_another_gives_others(task):
    first, again, other = (some(task, "test", seed, 20) for seed in (1, 1, 2))
    assert first == again != other


def grid_is_right(grid):
    """Rows, columns and boxes of a 4x4 grid hold 1 to 4 each."""
    rows = [grid[4 * at : 4 * at + 4] for at in range(4)]
    columns = ["".join(row[at] for row in rows) for at in range(4)]
    boxes = [
        "".join(rows[top + r][left + c] for r in (0, 1) for c in (0, 1))
        for top in (0, 2)
        for left in (0, 2)
    ]
    return all(sorted(unit) == list("1234") for unit in rows + columns + boxes)


def test_there_are_288_grids_and_all_are_right():
    grids = sudoku.solved_grids()
    assert len(set(grids)) == 288
    assert all(grid_is_right(grid) for grid in grids)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_puzzle_has_exactly_one_solution_and_it_is_the_answer(split):
    for example in some(sudoku, split, count=150):
        puzzle = example.prompt.removeprefix("Solve this sudoku: ").replace(" ", "")
        fitting = [
            grid
            for grid in sudoku.solved_grids()
            if all(given in ("0", cell) for given, cell in zip(puzzle, grid, strict=True))
        ]
        assert fitting == [example.answer.replace(" ", "")]
        assert 4 <= puzzle.count("0") <= 12


def test_solutions_of_a_puzzle_are_counted_up_to_the_limit():
    assert len(sudoku.solutions("0" * 16)) == 2
    assert len(sudoku.solutions("0" * 16, most=300)) == 288
    assert sudoku.solutions("11" + "0" * 14) == []


def test_puzzles_of_the_two_splits_are_disjoint():
    train, test = ({e.prompt for e in some(sudoku, split)} for split in ("train", "test"))
    assert not train & test


def test_a_sudoku_scores_all_cells_in_any_spacing():
    example = sudoku.from_puzzle("0000" * 4, "4213134231242431")
    assert sudoku.score(example, "4 2 1 3 1 3 4 2 3 1 2 4 2 4 3 1")
    assert sudoku.score(example, "4213\n1342\n3124\n2431\n")
    assert not sudoku.score(example, "4 2 1 3 1 3 4 2 3 1 2 4 2 4 1 3")
    assert not sudoku.score(example, "4 2 1 3")


WESTBAM = {
    "text": "play some westbam on google music",
    "slots": "O O B-artist O B-service I-service",
    "intent": "PlayMusic",
}
RAIN = {"text": "will it rain", "slots": "O O O", "intent": "GetWeather"}


@pytest.mark.parametrize("name", ["snips.jsonl", "snips.jsonl.gz"])
def test_snips_rows_become_intent_and_slots(name, tmp_path):
    path = tmp_path / name
    data = "".join(json.dumps(row) + "\n" for row in (WESTBAM, RAIN)).encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    first, second = snips.read(path)
    assert first.prompt == "Parse: play some westbam on google music"
    assert first.answer == "PlayMusic; artist = westbam; service = google music"
    assert second.answer == "GetWeather"


def test_snips_scores_the_whole_answer():
    example = snips.Example("", "", "PlayMusic; artist = westbam")
    assert snips.score(example, " PlayMusic; artist = westbam\n")
    assert not snips.score(example, "PlayMusic")
    assert not snips.score(example, "PlayMusic; artist = westbam; service = x")
