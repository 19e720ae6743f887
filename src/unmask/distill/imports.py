"""Answers that exist already -> samples: the layouts that dParallel and d3LLM publish, and ours.

- answers: ``prompt`` and ``answer``, or dParallel's ``question``, ``llm_response``, ``gt_answer``;
  the order of writing is not known and taken from left to right;
- trajectories: d3LLM's ``prompt_ids``, ``trajectory`` (all states, ids with masks), ``is_correct``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from unmask.decode.prompts import codec_of
from unmask.distill.shards import Sample, Shards
from unmask.errors import InputError, PromptError
from unmask.models.loading import Model
from unmask.rows import Row
from unmask.verify.checks import boxed


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
    """Rows that became no sample: their answer is longer than the canvas."""

    long: int = 0


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
                sample = sample_of(model, number, row, how)
            except (PromptError, KeyError, TypeError, ValueError) as error:
                raise InputError(f"row {number + 1}: {error}") from None
            if sample is None:
                refused.long += 1
            else:
                samples.append(sample)
        if samples:
            shards.write(samples)
        yield from samples


def sample_of(model: Model, index: int, row: Row, how: Import) -> Sample | None:
    """One sample; None if the answer does not fit into the canvas.

    Raises:
        PromptError: the model cannot take the prompt, or has no tokenizer.
        ValueError: the row has none of the layouts, or its states do not fit together.
    """
    if "trajectory" in row:
        return _from_states(model, index, row)
    question = row.get(how.prompt or "prompt", None if how.prompt else row.get("question"))
    answer = row.get(how.answer or "answer", None if how.answer else row.get("llm_response"))
    if not isinstance(question, str) or not isinstance(answer, str):
        wanted = f"{how.prompt or 'prompt'} and {how.answer or 'answer'}"
        own = how.prompt or how.answer
        others = ", question and llm_response, or prompt_ids and trajectory"
        raise ValueError(f"it needs {wanted}" + ("" if own else others))
    codec, card = codec_of(model), model.card
    if model.template and not how.templated:
        question = model.template.render([{"role": "user", "content": question}])
    prompt = codec.encode(question, plain=False)
    text = codec.encode(answer, plain=False)
    if not prompt:
        raise ValueError("the prompt is empty")
    if text[-1:] != [card.end_ids[0]]:
        text.append(card.end_ids[0])
    if len(text) > how.canvas:
        return None
    tokens = [*prompt, *text, *[card.pad_id] * (how.canvas - len(text))]
    born = np.zeros(len(tokens), np.uint16)
    born[len(prompt) :] = 1 + np.arange(how.canvas)
    truth = row.get("gt_answer")
    correct = int(boxed(answer, truth)) if isinstance(truth, str) and truth.strip() else -1
    return Sample(
        index, len(prompt), np.array(tokens, np.uint32), born, len(text), len(text), correct, 0.0
    )


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
    correct: Any = row.get("is_correct")
    return Sample(
        index,
        len(prompt),
        tokens.astype(np.uint32),
        born.astype(np.uint16),
        len(states),
        counted,
        -1 if correct is None else int(bool(correct)),
        0.0,
    )
