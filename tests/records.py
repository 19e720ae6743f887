"""Made records for tests of figures, tables and plots."""

from __future__ import annotations

from dataclasses import replace

from unmask.evaluate.record import Record

PLAIN = Record(
    task="stories",
    index=0,
    question="00c0ffee0000",
    style="chat",
    mode="generate",
    prompt_tokens=30,
    left_out=0,
    method="d3llm",
    model="tiny",
    weights="0123456789abcdef",
    preset="d3llm",
    settings={"threshold": 0.1, "max_new_tokens": 96},
    swept={},
    batch_size=1,
    dtype="float32",
    device="cpu",
    threads=2,
    versions={"unmask": "1"},
    commit=None,
    text="19.",
    scores={"accuracy": 1.0},
    right=1.0,
    tokens=60,
    forwards=10,
    refresh_forwards=2,
    cached_forwards=8,
    fed_positions=300,
    latency=0.5,
    seconds=0.25,
)


def record(**given) -> Record:
    return replace(PLAIN, **given)


def answers(count, right, *, threshold=None, **given) -> list[Record]:
    """``count`` answers of which the first ``right`` are right; swept if a threshold is given."""
    if threshold is not None:
        given |= {"swept": {"threshold": threshold}, "settings": {"threshold": threshold}}
    return [record(index=n, right=float(n < right), **given) for n in range(count)]


def sweep(method="d3llm", task="stories", count=40, speeds=(1, 10, 15)) -> list[Record]:
    """A curve: each point faster and, from the second on, a little worse than the last one."""
    return [
        row
        for n, forwards in enumerate(speeds)
        for row in answers(
            count,
            count - 1 - n,
            threshold=0.1 * n,
            method=method,
            task=task,
            forwards=60 // forwards,
        )
    ]
