"""Which of the choices does a model find likeliest? A record for every example."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unmask.decode.prompts import codec_of
from unmask.evaluate import provenance
from unmask.evaluate.likelihood import Effort, Likelihood, log_likelihoods
from unmask.evaluate.questions import ask
from unmask.evaluate.record import Record
from unmask.evaluate.run import Contestant
from unmask.evaluate.task import Example, Task

SEED = 0


def ranking(samples: int) -> dict[str, Any]:
    """What stands under settings in a record, where nothing is decoded."""
    return {"samples": samples, "seed": SEED}


def rank(
    who: Contestant, task: Task, examples: Mapping[int, Example], samples: int
) -> Iterator[Record]:
    """The likeliest choice of every example, by the sum over its tokens.

    ``forwards`` counts texts that went through the model, each of which feeds all its positions
    (but the last, if the model is causal); no token is written, so there are no tokens per forward.

    Raises:
        InputError: a choice does not fit into the model.
    """
    effort = Effort(samples, SEED, who.batch_size, greedy=False)
    codec = codec_of(who.model)
    for number, example in examples.items():
        room = max(len(codec.encode(f" {choice}", plain=False)) for choice in example.choices)
        asked = ask(who.model, task, example, room, who.style)
        # A template opens a fresh turn; other prompts end with a colon, and a word follows.
        space = "" if asked.question.chat and who.model.template else " "
        # No begin token: a choice goes on with the prompt, which has it.
        ids = [codec.encode(space + choice, plain=False) for choice in example.choices]
        if number == next(iter(examples)):  # before the clock runs
            log_likelihoods(who.model, [(asked.ids, ids[0])], replace(effort, samples=1))
        started = time.perf_counter()
        found = log_likelihoods(who.model, [(asked.ids, one) for one in ids], effort)
        seconds = time.perf_counter() - started
        yield Record(
            **who.identity(task, (number, example), "likelihood", ranking(samples)),
            prompt_tokens=len(asked.ids),
            left_out=asked.left_out,
            versions=provenance.versions(),
            commit=provenance.commit(),
            latency=round(seconds, 6),
            seconds=round(seconds, 6),
            **_figures(task, example, found),
            fed_positions=sum(
                like.samples * (len(asked.ids) + len(one) - who.model.card.causal)
                for like, one in zip(found, ids, strict=True)
            ),
        )


def _figures(task: Task, example: Example, found: Sequence[Likelihood]) -> dict[str, Any]:
    """What was chosen; among the scores, each choice's log-likelihood and standard error."""
    best = max(range(len(found)), key=lambda at: found[at].value)
    text = example.choices[best]
    scores = task.score(example, text)
    likely = {
        f"{name} of {choice}": round(value, 4)
        for choice, one in zip(example.choices, found, strict=True)
        for name, value in (("log-likelihood", one.value), ("standard error", one.error))
        if math.isfinite(value)  # one sample has no spread; JSON has no other numbers
    }
    forwards = sum(one.samples for one in found)
    return {
        "text": text,
        "scores": {**scores, **likely},
        "right": scores[task.metric],
        "tokens": 0,
        "forwards": forwards,
        "refresh_forwards": forwards,
        "cached_forwards": 0,
    }
