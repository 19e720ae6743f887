"""MBPP: write a short Python function from one sentence and its tests (CC BY 4.0, Google 2021).

    prompt  Write a function to double a number.
    answer  def double(x):
                return 2 * x

The test split is task_id 11 to 510: 500 problems, of which `mbpp/sanitized` has the 257 that people
went through. An answer is right if its program passes the tests in the sandbox: pass@1. Styles, as
in the scripts of Fast-dLLM, dParallel and d3LLM:

    shots   three solved problems between [BEGIN] and [DONE], as one user's turn (LLaDA)
    prefix  no solved problem; the answer is made to begin inside a fence (Dream)
    chat    the same without the fence (all others)
    plain   the text of shots, continued as it stands (base models)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unmask.errors import InputError
from unmask.evaluate.task import Example, Files, Question, Scores, Task
from unmask.verify.programs import FENCE, program_of
from unmask.verify.sandbox import run

CANVAS = 256
ROLE = "You are an expert Python programmer, and here is your task:"
SHOWN_TESTS = 3  # the prompt shows so many, all are run
SHOTS = (2, 3, 4)  # task_id of the problems that the paper and every script show solved
TEST_SPLIT = range(11, 511)
HUB = "google-research-datasets/mbpp"
DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)


def example(row: Mapping[str, Any]) -> Example:
    """One row of either version."""
    code = _plain(row["code"])
    facts = {
        "task_id": int(row["task_id"]),
        "tests": tuple(_plain(test) for test in row["test_list"]),
        "imports": "\n".join(row.get("test_imports") or ()),
        "setup": _plain(row.get("test_setup_code") or ""),
        "names": tuple(DEFINED.findall(code)),
    }
    if not facts["tests"]:
        raise ValueError("test_list is empty")
    return Example(_plain(row["text" if "text" in row else "prompt"]), code, code, facts=facts)


def in_test_split(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of the official test split."""
    return int(row["task_id"]) in TEST_SPLIT


def ask(example: Example, style: str) -> Question:
    """The question in style "shots", "prefix", "chat" or "plain".

    Raises:
        InputError: another style.
    """
    if style in ("shots", "plain"):
        shots = [one for one in example.facts["shots"] if one.facts["task_id"] in SHOTS]
        solved = [f"{_shot(one)}{one.answer}\n[DONE]" for one in shots]
        text = "\n\n".join([*solved, _shot(example)])
        return Question(text, chat=style == "shots", stops=("[DONE]",))
    turn = f"{ROLE}\n{example.prompt}\nYour code should pass these tests:\n{_tests(example)}\n"
    if style == "chat":
        return Question(turn)
    if style == "prefix":
        return Question(turn, prefix=f"{FENCE}python\n", stops=(FENCE,))
    raise InputError(f"style={style!r} is not one of MBPP: shots, prefix, chat, plain")


def score(example: Example, text: str) -> Scores:
    """Whether the program in ``text`` passes all tests.

    Raises:
        InputError: this system cannot confine a program.
    """
    program = program_of(text)
    facts = example.facts
    if not program:
        return {"accuracy": 0.0}
    tests = "\n".join([facts["imports"], facts["setup"], *facts["tests"]])
    whole = f"{facts['imports']}\n{program}"
    return {"accuracy": float(run(whole, tests=tests, shown=facts["names"]).passed)}


def _shot(example: Example) -> str:
    told = f"{ROLE} {example.prompt} Your code should pass these tests:"
    return f"{told}\n\n{_tests(example)}\n[BEGIN]\n"


def _tests(example: Example) -> str:
    return "\n".join(example.facts["tests"][:SHOWN_TESTS])


def _plain(text: str) -> str:
    """Half of the rows have the line ends of Windows."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _task(name: str, about: str, local: tuple[str, ...], version: str) -> Task:
    folder = f"mbpp/{version}"
    test, prompt = (f"{part}-00000-of-00001.parquet" for part in ("test", "prompt"))
    return Task(
        name=name,
        about=about,
        licence="CC-BY-4.0",
        canvas=CANVAS,
        source=Files(
            (f"{folder}/{test}", *local),
            (HUB, f"{version}/{test}"),
            example,
            shots=max(SHOTS),  # the first rows; `ask` takes those it wants
            shots_from=((f"{folder}/{prompt}", *local), (HUB, f"{version}/{prompt}")),
            keep=in_test_split,
        ),
        score=score,
        ask=ask,
        styles={"": "chat", "llada": "shots", "dream": "prefix"},
    )


TASKS = (
    _task(
        "mbpp",
        "short Python functions from a sentence and tests, pass@1 (500)",
        ("mbpp/mbpp.jsonl",),
        "full",
    ),
    _task(
        "mbpp/sanitized",
        "the problems of MBPP that people went through, pass@1 (257)",
        ("mbpp/sanitized-mbpp.jsonl",),
        "sanitized",
    ),
)
