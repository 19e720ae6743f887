"""Answers to lm-eval's tasks -> records, as those of `unmask eval`, and tokens per forward."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from unmask.decode.proposal import SEED
from unmask.decode.settings import Settings
from unmask.errors import counted
from unmask.evaluate import provenance
from unmask.evaluate.record import Record
from unmask.evaluate.run import Cost

PREFIX = "lm-eval/"
"""Before the names of tasks: lm-eval's gsm8k asks otherwise than ours."""


@dataclass(frozen=True)
class Answer:
    """A text that was generated for lm-eval: for which of its requests, from how many tokens
    (``left_out`` more were cut off), with which settings, how many tokens it has, what it cost."""

    prompt_tokens: int
    settings: Settings
    tokens: int
    forwards: int
    fed_positions: int
    latency: float
    cost: Cost
    request: Any = None
    left_out: int = 0


def summary(answers: Iterable[Answer]) -> dict[str, dict[str, float]]:
    """Tokens and forwards of every task; of lm-eval's own figures none tells them."""
    found: dict[str, dict[str, float]] = {}
    for one in answers:
        task = found.setdefault(one.request.task_name, {"tokens": 0, "forwards": 0})
        task["tokens"] += one.tokens
        task["forwards"] += one.forwards
    for task in found.values():
        task["tokens_per_forward"] = task["tokens"] / max(task["forwards"], 1)
    return found


def records(
    results: Mapping[str, Any], answers: Sequence[Answer], shared: Mapping[str, Any], *, chat: bool
) -> Iterator[Record]:
    """A record for every example whose answer was generated and has a score from 0 to 1; one for
    each of the filters that a task has, which are different tasks then.

    ``results``: lm-eval's object. ``shared``: fields of all records. ``chat``: whether the template
    was used.
    """
    own: dict[tuple[str, int], list[Answer]] = {}
    for one in answers:
        own.setdefault((one.request.task_name, one.request.doc_id), []).append(one)
    for task, samples in results["samples"].items():
        filters = {sample["filter"] for sample in samples}
        style = f"{'chat' if chat else 'plain'}, {counted(results['n-shot'].get(task, 0), 'shot')}"
        better = results.get("higher_is_better", {}).get(task, {})
        for sample in samples:
            texts, scores = own.get((task, sample["doc_id"])), _scores(sample, better)
            if texts and scores:
                name = f"{PREFIX}{task}" + (f"/{sample['filter']}" if len(filters) > 1 else "")
                yield _record(name, style, sample, scores, (texts, shared))


def _scores(sample: Mapping[str, Any], better: Mapping[str, bool]) -> dict[str, float]:
    """Figures of one answer from 0 to 1 of which more is better, in lm-eval's order."""
    found = {}
    for name in sample["metrics"]:
        value = sample[name]
        figure = isinstance(value, (bool, int, float, np.bool_, np.number))
        if better.get(name) and figure and 0 <= float(value) <= 1:
            found[name] = float(value)
    return found


def _record(
    task: str,
    style: str,
    sample: Mapping[str, Any],
    scores: Mapping[str, float],
    whose: tuple[Sequence[Answer], Mapping[str, Any]],
) -> Record:
    texts, shared = whose
    asked = hashlib.sha256(f"{sample['prompt_hash']} {sample['target_hash']}".encode())
    forwards = sum(one.forwards for one in texts)
    cached = sum(one.cost.cached for one in texts)
    return Record(
        task=task,
        index=sample["doc_id"],
        question=asked.hexdigest()[:12],
        style=style,
        mode="generate",
        prompt_tokens=texts[0].prompt_tokens,
        left_out=texts[0].left_out,
        settings=_flat(texts[0].settings),
        swept={},
        versions={**provenance.versions(), "lm_eval": version("lm_eval")},
        commit=provenance.commit(),
        text=sample["resps"][0][0],
        scores=scores,
        right=next(iter(scores.values())),
        tokens=sum(one.tokens for one in texts),
        forwards=forwards,
        refresh_forwards=forwards - cached,
        cached_forwards=cached,
        fed_positions=sum(one.fed_positions for one in texts),
        latency=round(sum(one.latency for one in texts), 6),
        seconds=round(sum(one.cost.seconds for one in texts), 6),
        **shared,
    )


def _flat(settings: Settings) -> dict[str, Any]:
    """Those that are set, without the seed: every answer has its own, and all are of one curve."""
    known = settings.values.items()
    return {n: value for n, value in known if value is not None and n != SEED.name}
