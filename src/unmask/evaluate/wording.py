"""In which words a question is put: what stands before and after it in each style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unmask import catalogue
from unmask.evaluate.task import Example, Question

ENDS = ("</s>", "<|im_end|>")
"""End marks that a model may write as text; the published evaluations stop at both."""


@dataclass(frozen=True)
class Wording:
    """One style of a task.

    ``before`` and ``after`` stand around every question, worked examples included, ``last`` only
    after the one that is asked. ``chat`` and ``stops`` as in a question.
    """

    before: str = ""
    after: str = ""
    last: str = ""
    chat: bool = True
    stops: tuple[str, ...] = ()


def worded(styles: Mapping[str, Wording]) -> Callable[[Example, str], Question]:
    """A task's ``ask`` for styles by name; worked examples in ``facts["shots"]`` go first.

    Raises:
        InputError: (the function returned) a style that the task does not have.
    """

    def ask(example: Example, style: str) -> Question:
        if style not in styles:
            raise catalogue.unknown("style", style, sorted(styles))
        wording = styles[style]
        text = "".join(
            f"{_put(shot, wording)} {shot.answer}\n\n" for shot in example.facts.get("shots", ())
        )
        text += _put(example, wording) + wording.last
        return Question(text, chat=wording.chat, stops=wording.stops)

    return ask


def _put(example: Example, wording: Wording) -> str:
    return wording.before + example.prompt + wording.after
