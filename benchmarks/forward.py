"""Where does a forward's time go: model, scoring, bookkeeping?

    python benchmarks/forward.py --out docs/results/forward.jsonl

Held-out stories are decoded by every contender in turn, round by round, in one process; of every
contender the fastest round counts, for anything else that runs on the machine only adds time.
Scoring: from logits to accepted positions. Bookkeeping: everything else but the model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import unmask
from decode_speed import machine
from meter import metered
from unmask.decode import step
from unmask.decode.generate import finished, prepare
from unmask.evaluate.tasks import stories

CONTENDERS = (
    ("tiny-fast", "d3llm", 1),
    ("tiny-fast", "d3llm", 8),
    ("tiny", "fast-dllm", 1),
    ("tiny", "vanilla", 1),
    ("tiny-ar", "ar", 1),
    ("tiny-ar", "ar", 8),
)


class Stopwatch:
    """Seconds inside of functions."""

    seconds = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, timed."""

        def timed(*given: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*given)
            finally:
                self.seconds += time.perf_counter() - started

        return timed


@contextmanager
def scored(watch: Stopwatch) -> Iterator[None]:
    """Inside, the time from logits to accepted positions goes to ``watch``."""
    whole = {name: getattr(step, name) for name in ("propose", "_accept")}
    for name, call in whole.items():
        setattr(step, name, watch.around(call))
    try:
        yield
    finally:
        for name, call in whole.items():
            setattr(step, name, call)


def once(model: unmask.Model, prompts: list[str], preset: str, batch: int) -> dict[str, float]:
    """Seconds of one pass by part, and its counts."""
    watch, (watched, meter) = Stopwatch(), metered(model)
    with scored(watch):
        rows = prepare(watched, prompts, preset, raw=False, overrides={})
        started = time.perf_counter()
        results = [one for _, one in finished(watched, rows, batch)]
        seconds = time.perf_counter() - started
    return {
        "model": meter.seconds,
        "scoring": watch.seconds,
        "all": seconds,
        "forwards": sum(one.forwards for one in results),
        "fed": sum(one.fed_positions for one in results),
        "tokens": sum(one.tokens for one in results),
    }


def line(passes: list[dict[str, float]]) -> dict[str, float]:
    """Of the fastest pass."""
    best = min(passes, key=lambda one: one["all"])
    rest = best["all"] - best["model"] - best["scoring"]
    return {
        "ms_per_forward": round(1000 * best["all"] / best["forwards"], 3),
        "model": round(best["model"] / best["all"], 3),
        "scoring": round(best["scoring"] / best["all"], 3),
        "bookkeeping": round(rest / best["all"], 3),
        "fed_per_forward": round(best["fed"] / best["forwards"], 1),
        "tokens_per_forward": round(best["tokens"] / best["forwards"], 2),
        "tokens_per_second": round(best["tokens"] / best["all"], 1),
    }


def main() -> None:
    """Measure, print, append one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # parts that run at the same time would not add up
    prompts = [e.prompt for e in itertools.islice(stories.examples("test"), arguments.prompts)]
    models = {name: unmask.load(name, device="cpu") for name, _, _ in CONTENDERS}
    passes: dict[tuple[str, str, int], list[dict[str, float]]] = {one: [] for one in CONTENDERS}
    for turn in range(arguments.rounds + 1):
        for name, preset, batch in CONTENDERS:
            done = once(models[name], prompts, preset, batch)
            if turn:
                passes[name, preset, batch].append(done)
    rows = {f"{name} {preset}, batch {n}": line(own) for (name, preset, n), own in passes.items()}
    for title, row in rows.items():
        print(f"{title:30}", *(f"{kind} {value}" for kind, value in row.items()), sep="  ")
    if arguments.out:
        with arguments.out.open("a") as file:
            print(json.dumps({"prompts": len(prompts), **machine(), "rows": rows}), file=file)


if __name__ == "__main__":
    main()
