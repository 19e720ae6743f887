"""A teacher answers prompts; what it writes, and in which order, becomes training data.

Wrong answers are tried again at rising temperature (d3LLM, appendix: up to five attempts at 0.0 to
0.4); the last attempt is kept even if it is wrong, and says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from unmask.cluster.spread import Spread
from unmask.decode import policy
from unmask.decode.generate import Result, finished, prepare
from unmask.decode.prompts import Prompt, canvas_of
from unmask.distill.intake import Shards
from unmask.distill.shards import Sample
from unmask.errors import PromptError
from unmask.models.loading import Model

HEAT = 0.1
"""By how much the temperature rises from attempt to attempt."""
Check = Callable[[int, str], bool]
"""Whether a text answers the prompt of this index."""


@dataclass
class Tally:
    """What a harvest came to, for people. ``lengths``: tokens of every answer, the end token
    included. ``kept``: samples to learn from; the others are wrong or without an end."""

    end_ids: Sequence[int] = ()
    checked: int = 0
    correct: int = 0
    endless: int = 0
    kept: int = 0
    forwards: int = 0
    lengths: list[int] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        ended = bool(np.isin(sample.tokens_L[sample.prompt_length :], self.end_ids).any())
        self.checked += sample.correct >= 0
        self.correct += sample.correct == 1
        self.endless += not ended
        self.kept += ended and sample.correct != 0
        self.forwards += sample.forwards
        self.lengths.append(sample.counted)


@dataclass(frozen=True)
class Harvest:
    """How to harvest. ``attempts`` at least 1; ``overrides`` as in `unmask.generate`."""

    preset: str
    overrides: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 16
    shard_size: int = 128
    attempts: int = 1
    check: Check | None = None
    raw: bool = False


def fitting(
    model: Model, prompts: Sequence[Prompt], how: Harvest
) -> tuple[dict[int, Prompt], list[str]]:
    """The prompts that the model can take, by index, and why the others are left out.

    Raises:
        InputError: a setting cannot be, or no prompt is left.
    """
    shared = policy.make(model.card, how.preset, how.overrides, model.defaults)
    fit, why = {}, []
    for index, prompt in enumerate(prompts):
        try:
            canvas_of(model, prompt, shared.settings.max_new_tokens, raw=how.raw)
        except PromptError as error:
            why.append(f"prompt {index + 1}: {error}")
        else:
            fit[index] = prompt
    if not fit:
        raise PromptError(why[0])
    return fit, why


def harvest(
    spread: Spread[Model],
    prompts: Mapping[int, Prompt],
    shards: Shards,
    how: Harvest,
    answered: Callable[[], object] = lambda: None,
) -> Iterator[Sample]:
    """Answer all prompts that are not stored yet; yields samples once their shard is stored.

    ``answered`` is called for every sample as it comes. Interrupted, what was answered is stored; a
    process that is killed loses the shard that was under way.
    """
    done = shards.done()
    waiting = {index: prompt for index, prompt in prompts.items() if index not in done}
    coming = spread(partial(answer, how=how), waiting)
    while True:
        samples: list[Sample] = []
        try:
            for _, sample in itertools.islice(coming, how.shard_size):
                samples.append(sample)
                answered()
        finally:
            samples.sort(key=lambda sample: sample.index)
            if samples:
                shards.write(samples)
        if not samples:
            return
        yield from samples


def answer(
    model: Model, prompts: Mapping[int, Prompt], how: Harvest
) -> Iterator[tuple[int, Sample]]:
    """One sample per prompt, as they are done."""
    open_ = dict(prompts)
    for attempt in range(how.attempts):
        heat = how.overrides.get("temperature", 0.0) + attempt * HEAT
        wrong = set()
        # Another seed for every attempt and prompt: a repeated draw would repeat the mistake.
        for index, result in decoded(model, open_, how, heat, attempt):
            sample = sample_of(index, result, how.check, heat)
            if sample.correct == 0 and attempt + 1 < how.attempts:
                wrong.add(index)
            else:
                yield index, sample
        open_ = {index: prompt for index, prompt in open_.items() if index in wrong}
        if not open_:
            return


def decoded(
    model: Model, prompts: dict[int, Prompt], how: Harvest, heat: float, attempt: int
) -> Iterator[tuple[int, Result]]:
    """(index, answer) of every prompt, as they finish."""
    indices, rows = list(prompts), []
    for at, (index, prompt) in enumerate(prompts.items()):
        seed = (how.overrides.get("seed") or 0) + index * how.attempts + attempt
        given = {**how.overrides, "temperature": heat, "seed": seed}
        [row] = prepare(model, [prompt], how.preset, raw=how.raw, overrides=given)
        row.index = at
        rows.append(row)
    for at, result in finished(model, rows, how.batch_size):
        yield indices[at], result


def sample_of(index: int, result: Result, check: Check | None, heat: float) -> Sample:
    """What is kept of an answer."""
    film = result.trajectory
    correct = -1 if check is None else int(check(index, result.text or ""))
    return Sample(
        index,
        film.prompt_length,
        film.tokens_L.astype(np.uint32),
        film.born_L.astype(np.uint16),
        result.forwards,
        result.tokens,
        correct,
        heat,
    )
