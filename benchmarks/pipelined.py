"""Several blocks in flight: which caches, horizons, refreshes and rules pay at equal accuracy?

    python benchmarks/pipelined.py --problems 300 --out docs/results/pipelined.jsonl

Held-out stories on the built-in model, rows in batches (a row's tokens and forwards do not depend
on its batch). Forwards and fed positions are counted, not timed, so the figures repeat exactly.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import unmask
from unmask.canvas.canvas import Canvas
from unmask.decode.generate import finished, prepare
from unmask.decode.plan import CachePolicy, Memory, Plan
from unmask.decode.window import Window
from unmask.evaluate.tasks import stories


@dataclass(frozen=True)
class Adaptive:
    """As cache dual, but all is fed again once ``budget`` tokens were written since."""

    budget: int
    stored, alone = True, False

    def plan(self, canvas: Canvas, window: Window, memory: Memory) -> tuple[Plan, Memory]:
        """Memory: tokens written and reach at the last refresh."""
        written = int(np.count_nonzero(canvas.born_L > 0))
        start, stop, reach = window.frontier[0], window.stop, window.reach
        if not memory or written - memory[0] >= self.budget or memory[1] != reach:
            return Plan((0, reach), (), window.eligible), (written, reach)
        return Plan((start, stop), ((0, start), (stop, reach)), window.eligible), memory


def variants() -> Iterator[tuple[str, dict[str, Any], CachePolicy | None]]:
    """Name, overrides of preset d3llm, and a cache that the package does not have."""
    plain = {"cache": "none", "threshold": 0.1}
    for bar in (0.1, 0.2):
        yield "one block", {**plain, "schedule": "blocks", "threshold": bar}, None
        yield "pipelined", {**plain, "threshold": bar}, None
    for cache in ("prefix", "dual"):
        yield f"pipelined, {cache}", {**plain, "cache": cache}, None
    for delay, refresh in ((0, None), (1, None), (2, None), (1, 4), (2, 3)):
        given = {**plain, "cache": "delayed", "delay": delay, "refresh": refresh}
        yield f"pipelined, delayed {delay}/{refresh or 'never'}", given, None
    yield "pipelined, adaptive 16", {**plain, "cache": "dual"}, Adaptive(16)
    for bar in (0.05, 0.1, 0.2):
        yield "pipelined, sliding", {**plain, "cache": "sliding", "threshold": bar}, None
    given = {**plain, "cache": "sliding", "refresh": 4}
    yield "pipelined, sliding, refresh 4", given, None
    for horizon in (0, 1, 2):
        yield f"pipelined, horizon {horizon}", {**plain, "horizon": horizon}, None
    yield "pipelined, dual, horizon 1", {**plain, "cache": "dual", "horizon": 1}, None
    yield "pipelined, frechet", {"strategy": "frechet", "delta": 0.9, "cache": "none"}, None
    yield (
        "pipelined, threshold",
        {"strategy": "threshold", "threshold": 0.95, "cache": "none"},
        None,
    )
    yield "pipelined, share 0.5", {**plain, "block_add_threshold": 0.5}, None
    single = {"schedule": "blocks", "strategy": "threshold", "threshold": 0.95}
    for cache, refresh in (("none", None), ("prefix", None), ("dual", None), ("sliding", 6)):
        yield f"one block, threshold, {cache}", {**single, "cache": cache, "refresh": refresh}, None


def measure(
    model: unmask.Model, examples: list[Any], overrides: dict[str, Any], cache: CachePolicy | None
) -> dict[str, float]:
    """Counts and accuracy of one variant."""
    given = {"max_new_tokens": stories.CANVAS, **overrides}
    given = {name: value for name, value in given.items() if value is not None}
    rows = prepare(model, [e.prompt for e in examples], "d3llm", raw=False, overrides=given)
    if cache:
        for row in rows:
            row.policy = replace(row.policy, cache=cache)
    results = dict(finished(model, rows, 32))
    right = sum(stories.score(e, results[at].text or "") for at, e in enumerate(examples))
    count = len(examples)
    return {
        "accuracy": round(right / count, 4),
        "forwards": round(sum(r.forwards for r in results.values()) / count, 2),
        "fed": round(sum(r.fed_positions for r in results.values()) / count, 1),
        "tokens": round(sum(r.tokens for r in results.values()) / count, 2),
    }


def main() -> None:
    """Measure, print, append JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    model = unmask.load(arguments.model, device="cpu")
    examples = list(itertools.islice(stories.examples("test"), arguments.problems))
    print(f"{'variant':34}{'bar':>6}{'accuracy':>10}{'forwards':>10}{'fed':>8}")
    for name, overrides, cache in variants():
        found = measure(model, examples, overrides, cache)
        bar = overrides.get("threshold", overrides.get("delta"))
        print(
            f"{name:34}{bar!s:>6}{found['accuracy']:10.1%}{found['forwards']:10.2f}"
            f"{found['fed']:8.0f}",
            flush=True,
        )
        if arguments.out:
            line = {"variant": name, "bar": bar, "problems": len(examples), **found}
            with arguments.out.open("a") as file:
                print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
