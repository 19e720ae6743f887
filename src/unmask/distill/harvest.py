"""A teacher answers prompts; what it writes, and in which order, becomes training data.

Wrong answers are tried again at rising temperature (d3LLM, appendix: up to five attempts at 0.0 to
0.4); the last attempt is kept even if it is wrong, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unmask.decode.generate import Result, finished, prepare
from unmask.decode.prompts import Prompt
from unmask.distill.shards import Sample, Shards
from unmask.models.loading import Model

HEAT = 0.1
"""By how much the temperature rises from attempt to attempt."""
Check = Callable[[int, str], bool]
"""Whether a text answers the prompt of this index."""


@dataclass
class Tally:
    """What a harvest came to, for people."""

    samples: int = 0
    correct: int = 0
    checked: int = 0
    tokens: int = 0
    forwards: int = 0

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        self.samples += 1
        self.correct += sample.correct == 1
        self.checked += sample.correct >= 0
        self.tokens += sample.counted
        self.forwards += sample.forwards


@dataclass(frozen=True)
class Harvest:
    """How to harvest. ``attempts`` at least 1; ``overrides`` as in `unmask.generate`; ``answered``
    is called at every prompt's first answer."""

    preset: str
    overrides: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 16
    shard_size: int = 128
    attempts: int = 1
    check: Check | None = None
    raw: bool = False
    answered: Callable[[], object] = lambda: None


def harvest(
    model: Model, prompts: Sequence[Prompt], shards: Shards, how: Harvest
) -> Iterator[Sample]:
    """Answer all prompts that are not stored yet; yields samples once their shard is stored."""
    done = shards.done()
    waiting = [index for index in range(len(prompts)) if index not in done]
    for start in range(0, len(waiting), how.shard_size):
        indices = waiting[start : start + how.shard_size]
        samples = answer(model, {index: prompts[index] for index in indices}, how)
        shards.write(samples)
        yield from samples


def answer(model: Model, prompts: dict[int, Prompt], how: Harvest) -> list[Sample]:
    """One sample per prompt, in their order."""
    found: dict[int, Sample] = {}
    open_ = dict(prompts)
    for attempt in range(how.attempts):
        heat = how.overrides.get("temperature", 0.0) + attempt * HEAT
        # Another seed for every attempt and prompt: a repeated draw would repeat the mistake.
        for index, result in decoded(model, open_, how, heat, attempt):
            found[index] = sample_of(index, result, how.check, heat)
            if attempt == 0:
                how.answered()
        open_ = {index: prompts[index] for index in open_ if found[index].correct == 0}
        if not open_:
            break
    return [found[index] for index in prompts]


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
