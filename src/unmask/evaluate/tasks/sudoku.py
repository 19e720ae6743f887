"""4x4 sudoku in the layout of the d1 paper's test file: 16 cells row by row, 0 for a blank.

    prompt  Solve this sudoku: 0 2 1 0 1 0 4 0 3 1 0 0 2 4 0 0
    answer  4 2 1 3 1 3 4 2 3 1 2 4 2 4 3 1

There are only 288 solved grids; what is held out are puzzles (grid plus blanks), chosen by a hash.
Every puzzle has exactly one solution.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from functools import cache

from unmask.evaluate.task import Example, Generated, Split, Task

CANVAS = 32
TEST_SHARE = 16
PEERS = [
    [
        other
        for other in range(16)
        if other != cell
        and (
            other // 4 == cell // 4
            or other % 4 == cell % 4
            or (other // 8 == cell // 8 and other % 4 // 2 == cell % 4 // 2)
        )
    ]
    for cell in range(16)
]


def examples(split: Split, seed: int = 0) -> Iterator[Example]:
    """Endless puzzles of one split, with 4 to 12 blanks, mostly 8 as in the public file."""
    draw = random.Random(f"sudoku/{split}/{seed}")
    while True:
        solution = draw.choice(solved_grids())
        blanks = 8 if draw.random() < 0.5 else draw.randint(4, 12)
        hidden = set(draw.sample(range(16), blanks))
        puzzle = "".join("0" if cell in hidden else solution[cell] for cell in range(16))
        if is_held_out(puzzle) == (split == "test") and len(solutions(puzzle)) == 1:
            yield from_puzzle(puzzle, solution)


def from_puzzle(puzzle: str, solution: str) -> Example:
    """An example from two strings of 16 digits, as in the public test file."""
    return Example("Solve this sudoku: " + " ".join(puzzle), " ".join(solution), solution)


def score(example: Example, text: str) -> bool:
    """Whether all 16 cells are right."""
    return "".join(text.split()) == example.final


def is_held_out(puzzle: str) -> bool:
    """Whether a puzzle belongs to the test split."""
    return zlib.crc32(puzzle.encode()) % TEST_SHARE == 0


@cache
def solved_grids() -> list[str]:
    """All 288 solved grids, built from the 24 orders of a row."""
    rows = ["".join(order) for order in itertools.permutations("1234")]
    grids = ["".join(four) for four in itertools.product(rows, repeat=4)]
    return [grid for grid in grids if _is_solved(grid)]


def solutions(puzzle: str, most: int = 2) -> list[str]:
    """Up to ``most`` solutions of a puzzle."""
    found: list[str] = []
    _search(list(puzzle), most, found)
    return found


def _search(cells: list[str], most: int, found: list[str]) -> None:
    if "0" not in cells:
        found.append("".join(cells))
        return
    blank = cells.index("0")
    for digit in "1234":
        if len(found) < most and all(cells[peer] != digit for peer in PEERS[blank]):
            cells[blank] = digit
            _search(cells, most, found)
            cells[blank] = "0"


def _is_solved(grid: str) -> bool:
    return all(grid[cell] != grid[peer] for cell in range(16) for peer in PEERS[cell])


TASKS = (
    Task(
        name="sudoku",
        about="4x4 sudoku, as in the d1 paper",
        licence="made up here (Apache-2.0)",
        canvas=CANVAS,
        source=Generated(examples),
        score=lambda example, text: {"accuracy": float(score(example, text))},
    ),
)
