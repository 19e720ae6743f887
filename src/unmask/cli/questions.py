"""What `unmask harvest` asks, and who checks the answers."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import Any

from unmask import rows
from unmask.cli import prompt_file
from unmask.decode.prompts import Prompt
from unmask.distill.harvest import Check
from unmask.errors import InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.task import Generated
from unmask.verify.checks import CHECKS, useless


def questions(
    arguments: argparse.Namespace,
) -> tuple[list[Prompt], Check | None, dict[str, Any]]:
    """Prompts, who checks their answers, and the length that a task wants.

    Raises:
        InputError: the options do not go together, or a file is none of prompts.
    """
    if (arguments.task is None) == (arguments.prompts is None):
        raise InputError("give either --task or --prompts")
    if arguments.prompts:
        if arguments.attempts > 1 and not arguments.check:
            raise InputError("--attempts needs answers that can be checked: --task or --check")
        if arguments.answer_field and not arguments.check:
            raise InputError("--answer-field is what --check compares with; give --check as well")
        prompts = prompt_file.read(arguments.prompts, arguments.prompt_field)
        return prompts[: arguments.count], _checker(arguments) if arguments.check else None, {}
    if arguments.check or arguments.prompt_field or arguments.answer_field:
        raise InputError("--check is for --prompts, and so are the fields; a --task has its own")
    task = tasks.find(arguments.task)
    if not isinstance(task.source, Generated):
        raise InputError(
            f"task {task.name} has a test split only; give --prompts with your own questions"
        )
    examples = tasks.examples(task, arguments.count, split="train")

    def check(index: int, text: str) -> bool:
        return task.is_right(examples[index], text)

    return [e.prompt for e in examples], check, {"max_new_tokens": task.canvas}


def _checker(arguments: argparse.Namespace) -> Check:
    """Compares with a field of every prompt's row."""
    field, how = arguments.answer_field or "answer", arguments.check
    truths, flaws = [], []
    for number, row in enumerate(islice(rows.read(arguments.prompts), arguments.count), 1):
        truth = _text(row.get(field))
        if truth is None:
            raise InputError(
                f"{arguments.prompts}, row {number}: --check needs a field {field} with the text"
            )
        truths.append(truth)
        flaw = useless(how, truth)
        flaws += [f"{flaw} (the first: row {number}, {truth!r:.40})"] if flaw else []
    if flaws:
        raise InputError(
            f"{arguments.prompts}: --check {how} cannot compare with {field}: {len(flaws)} of "
            f"{len(truths)} {flaws[0]}; take these rows out or give another --check"
        )

    def check(index: int, text: str) -> bool:
        return CHECKS[how](text, truths[index])

    return check


def _text(value: Any) -> str | None:
    """A text, a number, or a list of texts (MBPP's asserts) as lines."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        value = "\n".join(value)
    if isinstance(value, str):
        return value if value.strip() else None
    return rows.number_text(value)
