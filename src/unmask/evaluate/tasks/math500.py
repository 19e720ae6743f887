r"""MATH-500: 500 competition problems with answers in LaTeX (MIT, Hendrycks et al. 2021; the choice
of 500 is that of Lightman et al. 2023).

    prompt  Problem:
            What is $\frac{1}{2} + \frac{1}{3}$?

            Solution:
    answer  The sum is $\frac{3}{6} + \frac{2}{6} = \boxed{\frac{5}{6}}.$

The papers give LLaDA four worked examples; MATH-500 has no training rows to take them from, so the
question stands alone, and LLaDA is told to box its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.evaluate.task import Example, Files, Scores, Task
from unmask.evaluate.wording import ENDS, Wording, worded
from unmask.verify import maths
from unmask.verify.boxes import last_box

STOPS = ("Problem:", *ENDS)
STYLES = {
    "chat": Wording("Problem:\n", "\n\nSolution:", stops=STOPS),
    "plain": Wording("Problem:\n", "\n\nSolution:", chat=False, stops=STOPS),
    "boxed": Wording(
        last="\nPlease reason step by step, and put your final answer within \\boxed{}.",
        stops=STOPS,
    ),
}


def example(row: Mapping[str, Any]) -> Example:
    """One row: problem, solution and answer, or question and a solution that boxes the answer.

    Raises:
        ValueError: the solution has no box.
    """
    if "solution" in row:
        return Example(row["problem"], row["solution"], row["answer"])
    final = last_box(row["answer"])
    if final is None:
        raise ValueError("its answer has no \\boxed{}")
    return Example(row["question"], row["answer"], final)


def score(example: Example, text: str) -> Scores:
    """Whether the final expression of ``text`` means the same as the reference.

    Raises:
        InputError: math-verify is not installed, and the texts differ.
    """
    return {"accuracy": float(maths.same(maths.final_expression(text), example.final))}


TASKS = (
    Task(
        name="math500",
        about="500 competition problems, checked symbolically",
        licence="MIT",
        canvas=256,
        source=Files(
            ("math500/test.jsonl", "math500/test.jsonl.gz"),
            ("HuggingFaceH4/MATH-500", "test.jsonl"),
            example,
        ),
        score=score,
        ask=worded(STYLES),
        styles={"dream": "chat", "tiny": "plain", "": "boxed"},
    ),
)
