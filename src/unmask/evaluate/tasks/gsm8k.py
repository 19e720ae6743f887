r"""GSM8K: grade-school word problems, as the distillation papers ask them (MIT, Cobbe et al. 2021).

    prompt  Q: A jar holds 3 red and 4 blue beads. How many beads do 2 such jars hold?
            A: Let's think step by step.
    answer  One jar holds 3 + 4 = 7 beads. Two jars hold 2 * 7 = 14 beads. The answer is 14.

``gsm8k`` has no worked examples, ``gsm8k/long`` has five before the question (the first of the
training file). Prompts and stop strings are those of the tasks gsm8k_cot_zeroshot and gsm8k of
lm-evaluation-harness; "boxed" is what dParallel asks LLaDA. The number is found by the rule in
``verify/numbers.py``, which differs from the harness's "flexible-extract" (always the last number)
where a text states its answer and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.evaluate.task import Example, Files, Scores, Task
from unmask.evaluate.wording import ENDS, Wording, worded
from unmask.verify.numbers import final_number, stated_number

BOXED = " Please reason step by step, and put your final answer within \\boxed{}."
ASKED = Wording("Question: ", "\nAnswer:", stops=("Question:", *ENDS))
THOUGHT = Wording("Q: ", "\nA: Let's think step by step.", stops=("Q:", *ENDS))

SHORT = {
    "chat": THOUGHT,
    "plain": Wording(THOUGHT.before, THOUGHT.after, chat=False, stops=THOUGHT.stops),
    "boxed": Wording(ASKED.before, ASKED.after, BOXED, stops=ASKED.stops),
}
LONG = {
    "chat": ASKED,
    "plain": Wording(ASKED.before, ASKED.after, chat=False, stops=ASKED.stops),
    "boxed": SHORT["boxed"],
}
# d3LLM, which has the most complete tables, asks LLaDA without the template and Dream with it. It
# asks its autoregressive baseline without, which costs that model accuracy; here that has it.
STYLES = {"llada": "plain", "tiny": "plain", "": "chat"}

HUB = "openai/gsm8k"


def example(row: Mapping[str, Any]) -> Example:
    """One row: its solution ends in "#### " and the number.

    Raises:
        ValueError: it does not.
    """
    answer = row["answer"]
    final = answer.rpartition("####")[2].strip().replace(",", "")
    if "####" not in answer or final_number(final) is None:
        raise ValueError("its answer does not end in #### and a number")
    return Example(row["question"], answer, final)


def score(example: Example, text: str) -> Scores:
    """``accuracy``: the number found by the whole rule is right; ``strict``: a number is stated as
    the answer, and it is right."""
    truth = final_number(example.final)
    return {
        "accuracy": float(truth is not None and final_number(text) == truth),
        "strict": float(truth is not None and stated_number(text) == truth),
    }


def _task(name: str, about: str, styles: Mapping[str, Wording], shots: int) -> Task:
    return Task(
        name=name,
        about=about,
        licence="MIT",
        canvas=256,
        source=Files(
            ("gsm8k/test.jsonl", "gsm8k/test.jsonl.gz"),
            (HUB, "main/test-00000-of-00001.parquet"),
            example,
            shots=shots,
            shots_from=(
                ("gsm8k/train.jsonl", "gsm8k/train.jsonl.gz"),
                (HUB, "main/train-00000-of-00001.parquet"),
            ),
        ),
        score=score,
        ask=worded(styles),
        styles=STYLES,
    )


TASKS = (
    _task("gsm8k", "grade-school word problems, no worked examples", SHORT, 0),
    _task("gsm8k/long", "grade-school word problems after five worked examples", LONG, 5),
)
