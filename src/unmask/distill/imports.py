"""Answers that exist already -> samples: the layouts that dParallel and d3LLM publish, and ours.

- answers: ``prompt`` and ``answer``, or dParallel's ``question``, ``llm_response``, ``gt_answer``;
  the order of writing is not known and taken from left to right;
- trajectories: d3LLM's ``prompt_ids``, ``trajectory`` (all states, ids with masks), ``is_correct``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

from unmask.decode.prompts import codec_of
from unmask.distill.intake import Shards
from unmask.distill.shards import Sample
from unmask.errors import InputError, PromptError
from unmask.models.loading import Model
from unmask.rows import Row, number_text
from unmask.verify.boxes import last_box
from unmask.verify.checks import boxed
from unmask.verify.numbers import final_number


@dataclass(frozen=True)
class Import:
    """How to read rows. ``canvas``: answer positions of every sample; ``templated``: the prompt is
    whole as it stands; without it the model's chat template goes round it. ``prompt`` and
    ``answer``: fields of other names than those above."""

    canvas: int
    templated: bool
    shard_size: int = 128
    prompt: str | None = None
    answer: str | None = None


@dataclass
class Refused:
    """Rows that became no sample: their answer is longer than the canvas, or holds the mask token,
    which would be learnt as a thing to write."""

    long: int = 0
    masked: int = 0


def imported(
    model: Model, rows: Iterable[Row], shards: Shards, how: Import, refused: Refused
) -> Iterator[Sample]:
    """Store all rows that are not stored yet; yields samples once their shard is stored.

    Raises:
        InputError: a row cannot be understood; the message names its number.
    """
    done = shards.done()
    waiting = ((number, row) for number, row in enumerate(rows) if number not in done)
    while part := list(islice(waiting, how.shard_size)):
        samples = []
        for number, row in part:
            try:
                sample = sample_of(model, number, row, how, refused)
            except (PromptError, KeyError, TypeError, ValueError) as error:
                raise InputError(f"row {number + 1}: {error}") from None
            if sample:
                samples.append(sample)
        if samples:
            shards.write(samples)
        yield from samples


def sample_of(model: Model, index: int, row: Row, how: Import, refused: Refused) -> Sample | None:
    """One sample; None, and counted among ``refused``, if its answer cannot be one.

    Raises:
        PromptError: the model cannot take the prompt, or has no tokenizer.
        ValueError: the row has none of the layouts, or its states do not fit together.
    """
    if row.get("trajectory") is not None:
        return _from_states(model, index, row)
    question, answer = _texts(row, how)
    codec, card = codec_of(model), model.card
    if model.template and not how.templated:
        question = model.template.render([{"role": "user", "content": question}])
    prompt = codec.encode(question, plain=False)
    text = codec.encode(answer, plain=False)
    if not prompt:
        raise ValueError("the prompt is empty")
    ends = [at for at, token in enumerate(text) if token in card.end_ids]
    text = text[: ends[0] + 1] if ends else [*text, card.end_ids[0]]
    if card.mask_id in text:
        refused.masked += 1
        return None
    if len(text) > how.canvas:
        refused.long += 1
        return None
    tokens = [*prompt, *text, *[card.pad_id] * (how.canvas - len(text))]
    born = np.zeros(len(tokens), np.uint16)
    born[len(prompt) :] = 1 + np.arange(how.canvas)
    ids, verdict = np.array(tokens, np.uint32), _verdict(row, lambda: answer)
    return Sample(index, len(prompt), ids, born, len(text), len(text), verdict, 0.0)


def _texts(row: Row, how: Import) -> tuple[str, str]:
    """Question and answer; a number among answers is its text."""
    question, answer = row.get(how.prompt or "prompt"), row.get(how.answer or "answer")
    if question is None and not how.prompt:
        question = row.get("question")
    if answer is None and not how.answer:
        answer = row.get("llm_response")
    text = answer if isinstance(answer, str) else number_text(answer)
    if isinstance(question, str) and text is not None:
        return question, text
    wanted = f"{how.prompt or 'prompt'} and {how.answer or 'answer'}"
    own = how.prompt or how.answer
    others = ", question and llm_response, or prompt_ids and trajectory"
    wrong = [repr(question)] if not isinstance(question, (str, type(None))) else []
    wrong += [repr(answer)] if text is None and answer is not None else []
    given = "".join(f"; {one:.60} is no text" for one in wrong)
    raise ValueError(f"it needs {wanted}" + ("" if own else others) + given)


def _verdict(row: Row, answer: Callable[[], str]) -> int:
    """Whether the row's ``answer`` is right: by its ``is_correct``, else by its ``gt_answer``; -1
    if it has neither.

    Raises:
        ValueError: one of them is nothing that could be.
    """
    said, truth = row.get("is_correct"), row.get("gt_answer")
    if not _missing(said):
        if said not in (0, 1):
            raise ValueError(f"is_correct={said!r:.60} is not allowed; it has to be true or false")
        return int(said)
    if _missing(truth):
        return -1
    if isinstance(truth, str):
        return int(boxed(answer(), truth))
    key = number_text(truth)
    if key is None:
        raise ValueError(f"gt_answer={truth!r:.60} is neither a text nor a number")
    box = last_box(answer())  # 18.0 is 18
    return int(box is not None and final_number(box) == Fraction(key))


def _missing(value: object) -> bool:
    """Whether a table has nothing there: blank, or the NaN that stands for it among numbers."""
    blank = isinstance(value, str) and not value.strip()
    return value is None or blank or value != value


def _from_states(model: Model, index: int, row: Row) -> Sample:
    """All states of a text, as d3LLM stores them -> its ids and births."""
    prompt: list[int] = row["prompt_ids"]
    states = np.asarray(row["trajectory"], np.int64)
    if states.ndim != 2 or states.shape[1] <= len(prompt):
        raise ValueError("trajectory has to hold one list of ids per forward, all of one length")
    masked = states == model.card.mask_id
    masked[:, : len(prompt)] = False
    if masked[-1].any() or (masked[1:] & ~masked[:-1]).any():
        raise ValueError("trajectory does not end without masks, or masks a token again")
    born = 1 + masked.sum(0)
    born[: len(prompt)] = 0
    tokens = states[-1]
    ends = np.flatnonzero(np.isin(tokens[len(prompt) :], model.card.end_ids))
    counted = int(ends[0]) + 1 if len(ends) else len(tokens) - len(prompt)
    answer = tokens[len(prompt) :][:counted].tolist()
    return Sample(
        index,
        len(prompt),
        tokens.astype(np.uint32),
        born.astype(np.uint16),
        len(states),
        counted,
        _verdict(row, lambda: codec_of(model).decode(answer)),
        0.0,
    )
