"""HumanEval, MBPP and the checker of programs: how they ask, and that right means tested.

The samples in tests/data are our own problems. UNMASK_DATA names a folder with the real ones
(humaneval/HumanEval.jsonl, mbpp/mbpp.jsonl, mbpp/sanitized-mbpp.jsonl).
"""

from __future__ import annotations

import ast
import os
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.errors import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.tasks import humaneval, mbpp
from unmask.verify.checks import CHECKS

DATA = Path(__file__).parents[1] / "data"
REAL = os.environ.get("UNMASK_DATA")
NAMES = ("humaneval", "mbpp", "mbpp/sanitized")
linux = pytest.mark.skipif(sys.platform != "linux", reason="programs are confined on Linux only")
real = pytest.mark.skipif(not REAL, reason="UNMASK_DATA names no data folder")


def given_examples(name, data=DATA):
    task = tasks.find(name)
    return task, tasks.examples(task, data=Path(data))


def whole(task, example):
    """The reference solution as a program of its own."""
    head = example.prompt if task.name == "humaneval" else ""
    return head + example.answer


# Scoring


@linux
@pytest.mark.parametrize("name", NAMES)
def test_reference_solutions_are_right_as_they_stand_and_in_a_fence(name):
    task, found = given_examples(name)
    for example in found:
        assert task.is_right(example, example.answer)
        assert task.is_right(example, f"So:\n```python\n{whole(task, example)}\n```\nThat is it.")
        assert task.is_right(example, f"{example.answer}\n```\nAnd so on.")


@linux
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "I do not know.", "```python\nimport os; os._exit(0)\n```"])
def test_no_function_is_wrong(name, text):
    task, found = given_examples(name)
    assert task.score(found[0], text) == {"accuracy": 0.0}


@linux
@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_gives_something_else_is_wrong(name):
    task, found = given_examples(name)
    for example in found:
        assert not task.is_right(example, mutated(whole(task, example), Other()))


@linux
@settings(max_examples=15, deadline=None)
@given(st.text(max_size=40))
def test_no_answer_makes_a_score_raise(text):
    for name in NAMES:
        task, found = given_examples(name)
        assert task.score(found[0], f"```python\n{text}") == {"accuracy": 0.0}
        assert task.score(found[0], f"def f(x):\n    return x{text}") == {"accuracy": 0.0}


@linux
def test_the_checker_runs_the_answer_against_asserts():
    answer = "Here you are:\n```python\ndef double(x):\n    return 2 * x\n```"
    assert CHECKS["programs"](answer, "assert double(2) == 4")
    assert not CHECKS["programs"](answer, "assert double(2) == 5")
    assert not CHECKS["programs"]("no code", "")


# Asking


def test_humaneval_is_asked_in_three_styles():
    _, [example, *_] = given_examples("humaneval")
    fence = f"```python\n{example.prompt}\n"
    turn = f"{humaneval.INSTRUCTION}\n{fence}```\n"
    chat, prefix, plain = (humaneval.ask(example, one) for one in ("chat", "prefix", "plain"))
    assert (chat.text, chat.prefix, chat.stops) == (turn, "", ())
    assert (prefix.text, prefix.prefix) == (turn, f"Here is the completed function:\n{fence}")
    assert (plain.text, plain.chat) == (example.prompt, False)
    assert "\ndef" in plain.stops


def test_mbpp_shows_problems_two_to_four_solved():
    _, [*_, example] = given_examples("mbpp")
    text = mbpp.ask(example, "shots").text
    assert text.count("[DONE]") == 3
    assert "vowels" in text
    assert "dashed" in text
    assert "halve" not in text  # problem 1
    assert "\r" not in text
    assert text.endswith(f"{example.facts['tests'][-1]}\n[BEGIN]\n")


def test_mbpp_is_asked_without_solved_problems_too():
    _, [example, *_] = given_examples("mbpp")
    chat, prefix = mbpp.ask(example, "chat"), mbpp.ask(example, "prefix")
    assert chat.text == prefix.text
    assert all(part in chat.text for part in (example.prompt, *example.facts["tests"]))
    assert (prefix.prefix, prefix.stops) == ("```python\n", ("```",))
    assert not mbpp.ask(example, "plain").chat


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_asked_in_a_style_that_there_is(name):
    task, [example, *_] = given_examples(name)
    for family in ("llada", "dream", "llama", "tiny", ""):
        assert task.ask(example, task.style(family)).text
    with pytest.raises(InputError, match="style='odd'"):
        task.ask(example, "odd")


@pytest.mark.parametrize("row", [{}, {"task_id": 1, "code": "", "text": "", "test_list": []}])
@pytest.mark.parametrize("read", [humaneval.example, mbpp.example])
def test_a_row_of_something_else_is_refused(read, row):
    with pytest.raises((KeyError, ValueError)):
        read(row)


def test_the_test_split_of_mbpp_has_five_hundred_problems():
    rows = [{"task_id": number} for number in range(1, 975)]
    kept = [row["task_id"] for row in rows if mbpp.in_test_split(row)]
    assert (kept[0], kept[-1], len(kept)) == (11, 510, 500)


# The real problems


@linux
@real
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_reference_solutions_pass(name):
    task, found = given_examples(name, REAL)
    fence = "```python\n{}\n```"
    wrong = [one for one in found if not task.is_right(one, fence.format(whole(task, one)))]
    assert [one.facts for one in wrong] == []


@linux
@real
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_reference_solutions_that_give_something_else_fail(name):
    task, found = given_examples(name, REAL)
    passed = [one for one in found if task.is_right(one, mutated(whole(task, one), Other()))]
    assert [one.facts for one in passed] == []


@linux
@real
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_reference_solutions_with_a_flipped_operator_mostly_fail(name):
    task, found = given_examples(name, REAL)
    flipped = [(one, mutated(whole(task, one), Flip())) for one in found]
    changed = [(one, text) for one, text in flipped if text != mutated(whole(task, one))]
    passed = [one for one, text in changed if task.is_right(one, text)]
    # Measured: 4 of 141, 48 of 699 and 12 of 294 pass; not every flip changes what the tests see.
    assert len(passed) < 0.1 * len(changed), [one.facts for one in passed]


def mutated(program, change=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\\w" without r in rows of MBPP
        tree = ast.parse(program)
    return ast.unparse(ast.fix_missing_locations(change.visit(tree)) if change else tree)


class Other(ast.NodeTransformer):
    """Every function gives a new object, which equals nothing."""

    def visit_Return(self, node):
        return ast.Return(ast.Call(ast.Name("object", ast.Load()), [], []))


class Flip(ast.NodeTransformer):
    """The first operator of the program becomes its opposite."""

    PAIRS = ((ast.Add, ast.Sub), (ast.Mult, ast.Add), (ast.Lt, ast.GtE), (ast.Gt, ast.LtE),
             (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.And, ast.Or))  # fmt: skip

    def __init__(self):
        self.left = 1

    def generic_visit(self, node):
        pairs = dict(self.PAIRS) | {b: a for a, b in self.PAIRS if a is not ast.Mult}
        if self.left and type(node) in pairs:
            self.left = 0
            return pairs[type(node)]()
        return super().generic_visit(node)
