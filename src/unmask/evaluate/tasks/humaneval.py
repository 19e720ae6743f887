"""HumanEval: complete a Python function from its head and docstring (MIT, Chen et al. 2021).

    prompt  def double(x):
                \"\"\" Twice x. \"\"\"
    answer      return 2 * x

164 problems. An answer is right if its program passes the problem's tests in the sandbox: pass@1.
How it is asked makes several points of difference; the published figures of each family were made
in its own style (Fast-dLLM, dParallel and d3LLM scripts):

    chat    the function in a fence as the user's turn (LLaDA, and all others)
    prefix  the same, and the answer is made to begin with the function's head (Dream)
    plain   the head alone is continued (base models)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.errors import InputError
from unmask.evaluate.task import Example, Files, Question, Scores, Task
from unmask.verify.programs import FENCE, program_of
from unmask.verify.sandbox import run

CANVAS = 256
INSTRUCTION = "Write a solution to the following problem and make sure that it passes the tests:"
BEGINNING = "Here is the completed function:"
AFTER_FUNCTION = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def example(row: Mapping[str, Any]) -> Example:
    """One row."""
    solution, entry = row["canonical_solution"], row["entry_point"]
    facts = {"entry": entry, "tests": f"{row['test']}\ncheck({entry})\n"}
    return Example(row["prompt"], solution, solution, facts=facts)


def ask(example: Example, style: str) -> Question:
    """The question in style "chat", "prefix" or "plain".

    Raises:
        InputError: another style.
    """
    head = f"{FENCE}python\n{example.prompt}\n"
    turn = f"{INSTRUCTION}\n{head}{FENCE}\n"
    if style == "chat":
        return Question(turn)
    if style == "prefix":
        stops = (*AFTER_FUNCTION, FENCE)
        return Question(turn, prefix=f"{BEGINNING}\n{head}", stops=stops)
    if style == "plain":
        return Question(example.prompt, chat=False, stops=AFTER_FUNCTION)
    raise InputError(f"style={style!r} is not one of HumanEval: chat, prefix, plain")


def score(example: Example, text: str) -> Scores:
    """Whether the program in ``text`` passes the tests.

    Raises:
        InputError: this system cannot confine a program.
    """
    entry, tests = example.facts["entry"], example.facts["tests"]
    program = program_of(text, example.prompt, entry, tests)
    right = bool(program) and run(program, tests=tests, shown=[entry]).passed
    return {"accuracy": float(right)}


TASKS = (
    Task(
        name="humaneval",
        about="Python functions from their docstrings, pass@1 (164)",
        licence="MIT",
        canvas=CANVAS,
        source=Files(
            ("humaneval/HumanEval.jsonl",),
            ("openai/openai_humaneval", "openai_humaneval/test-00000-of-00001.parquet"),
            example,
        ),
        score=score,
        ask=ask,
        styles={"": "chat", "llada": "chat", "dream": "prefix"},
    ),
)
