"""An example as prompt ids of one model, and an answer cut at its stop strings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from unmask.decode.prompts import codec_of
from unmask.errors import InputError
from unmask.evaluate.task import Example, Question, Task
from unmask.models.loading import Model
from unmask.text.tokenizer import TextCodec


@dataclass(frozen=True)
class Asked:
    """``ids``: what the model gets; ``left_out``: ids cut off at the left because it takes no more;
    ``question``: as the task put it."""

    ids: list[int]
    left_out: int
    question: Question


def ask(model: Model, task: Task, example: Example, canvas: int, style: str | None = None) -> Asked:
    """The prompt of ``example`` in the style of the model's family, or in ``style``.

    Raises:
        PromptError: the model has no tokenizer.
        InputError: a canvas that leaves no room for a prompt, or a style that the task has not.
    """
    room = model.card.max_length - canvas
    if room < 1:
        raise InputError(
            f"max_new_tokens={canvas} leaves no room for a prompt: {model.card.name} takes "
            f"{model.card.max_length} tokens in all; use at most {model.card.max_length - 1}"
        )
    question = task.ask(example, task.style(model.card.family) if style is None else style)
    codec = codec_of(model)
    if question.chat and model.template is not None:
        text = model.template.render([{"role": "user", "content": question.text}])
        ids = codec.encode(text + question.prefix, plain=False)
    else:
        ids = codec.encode(question.text + question.prefix, plain=True)
    return Asked(ids[-room:], max(0, len(ids) - room), question)


def digest(question: Question, example: Example) -> str:
    """12 hex digits of what is asked and what would be right."""
    known = [*astuple(question), example.answer, example.final, example.choices]
    text = json.dumps([*known, {name: str(one) for name, one in example.facts.items()}])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def cut(text: str, stops: Sequence[str]) -> str:
    """``text`` before the first of ``stops``."""
    at = [found for found in (text.find(stop) for stop in stops if stop) if found >= 0]
    return text[: min(at)] if at else text


def tokens_to_stop(codec: TextCodec, ids: Sequence[int], stops: Sequence[str]) -> int | None:
    """How many of ``ids`` it takes to complete the first stop string; None if there is none."""
    text = codec.decode(list(ids))
    if cut(text, stops) == text:
        return None
    low, high = 1, len(ids)
    while low < high:  # the text of a longer prefix holds that of a shorter one
        middle = (low + high) // 2
        part = codec.decode(list(ids[:middle]))
        low, high = (low, middle) if cut(part, stops) != part else (middle + 1, high)
    return low
