"""Is the cached, parallel decoder faster than the plain loop, and what does the bookkeeping cost?

    python benchmarks/decode_speed.py --out docs/results/decode_speed.jsonl

All decoders answer the same held-out stories one after another, in turn, round by round, in one
process. The plain loop (full_canvas.py) uses the same threshold rule; because stale caches change
how many forwards a text takes, its rate is also given at equal forwards.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import full_canvas
import unmask
from meter import metered
from unmask.decode.generate import finished, prepare
from unmask.decode.prompts import canvas_of
from unmask.decode.stopping import end_of
from unmask.evaluate.tasks import stories


@dataclass
class Pass:
    """One contender's pass over all prompts."""

    seconds: float
    tokens: int
    forwards: int
    right: int


Run = Callable[[], Pass]
BAR = 0.95
LOOP = f"plain loop, threshold {BAR}"
CACHES: list[tuple[str, dict[str, Any]]] = [
    ("fast-dllm", {"cache": "none", "threshold": BAR}),
    ("fast-dllm", {"cache": "prefix", "threshold": BAR}),
    ("fast-dllm", {"cache": "dual", "threshold": BAR}),
    ("fast-dllm", {"cache": "sliding", "threshold": BAR, "refresh": 6}),
    ("fast-dllm", {"cache": "sliding", "threshold": BAR, "refresh": 6, "horizon": 4}),
    ("d3llm", {"cache": "delayed"}),
    ("d3llm", {"cache": "sliding"}),
    ("d3llm", {"cache": "sliding", "horizon": 4}),
]


def ours(model: unmask.Model, examples: list[Any], preset: str, **settings: Any) -> Pass:
    """The package, one prompt at a time."""
    started = time.perf_counter()
    results = [
        unmask.generate(model, example.prompt, preset, **settings)[0] for example in examples
    ]
    seconds = time.perf_counter() - started
    right = sum(stories.score(e, r.text or "") for e, r in zip(examples, results, strict=True))
    return Pass(seconds, sum(r.tokens for r in results), sum(r.forwards for r in results), right)


def plain(model: unmask.Model, examples: list[Any], length: int, threshold: float | None) -> Pass:
    """The full-canvas loop, one prompt at a time."""
    block = model.defaults["block_length"]
    tokens = forwards = right = 0
    started = time.perf_counter()
    for example in examples:
        canvas = canvas_of(model, example.prompt, length, raw=False)
        prompt = canvas.tokens_L[: canvas.prompt_length].tolist()
        answer = full_canvas.decode(model, prompt, length, block, threshold=threshold)
        end = end_of(answer.token_ids, model.card.end_ids)
        tokens += min(end + 1, length)
        forwards += answer.forwards
        assert model.codec
        right += stories.score(example, model.codec.decode(answer.token_ids[:end]))
    return Pass(time.perf_counter() - started, tokens, forwards, right)


def bookkeeping(model: unmask.Model, examples: list[Any], batch: int) -> float:
    """Seconds outside the model as a share of the seconds inside it, fast-dllm."""
    watched, meter = metered(model)
    prompts = [example.prompt for example in examples]
    rows = prepare(watched, prompts, "fast-dllm", raw=False, overrides={})
    seconds = [0.0]
    for _ in finished(watched, rows, batch, lambda _, total: seconds.append(total)):
        pass
    total = seconds[-1]
    return (total - meter.seconds) / meter.seconds


def main() -> None:
    """Measure, print, append one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--canvas", type=int, default=stories.CANVAS, help="answer positions")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    model = unmask.load("tiny", device="cpu")
    examples = list(itertools.islice(stories.examples("test", seed=1), arguments.prompts))
    twin = unmask.load("tiny-ar", device="cpu")
    canvas = arguments.canvas
    size = {"max_new_tokens": canvas}
    runs: dict[str, Run] = {
        "plain loop, one token a forward": lambda: plain(model, examples, canvas, None),
        LOOP: lambda: plain(model, examples, canvas, BAR),
        "unmask vanilla": lambda: ours(model, examples, "vanilla", **size),
        **{
            f"unmask {preset}, {given['cache']}{', horizon' * ('horizon' in given)}": partial(
                ours, model, examples, preset, **given, **size
            )
            for preset, given in CACHES
        },
        "unmask ar (tiny-ar)": lambda: ours(twin, examples, "ar", **size),
    }
    passes: dict[str, list[Pass]] = {name: [] for name in runs}
    for turn in range(arguments.rounds + 1):
        for name, run in runs.items():
            done = run()
            if turn:  # the first round warms up
                passes[name].append(done)
    rows = {name: summary(own, len(examples)) for name, own in passes.items()}
    shares = {batch: round(bookkeeping(model, examples, batch), 3) for batch in (1, 8, 32)}
    report(rows, shares)
    if arguments.out:
        line = {
            "canvas": canvas,
            "prompts": len(examples),
            **machine(),
            "rows": rows,
            "bookkeeping": shares,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        with arguments.out.open("a") as file:
            print(json.dumps(line), file=file)


def summary(own: list[Pass], prompts: int) -> dict[str, float]:
    """Medians over the rounds."""
    rates = [one.tokens / one.seconds for one in own]
    return {
        "tokens_per_second": round(statistics.median(rates), 1),
        "lowest": round(min(rates), 1),
        "highest": round(max(rates), 1),
        "forwards": own[0].forwards,
        "ms_per_forward": round(statistics.median(1000 * p.seconds / p.forwards for p in own), 3),
        "tokens_per_forward": round(own[0].tokens / own[0].forwards, 3),
        "accuracy": own[0].right / prompts,
    }


def report(rows: dict[str, dict[str, float]], shares: dict[int, float]) -> None:
    """A table and the ratios."""
    print(f"{'decoder':34}{'tokens/s':>10}{'forwards':>10}{'ms/forward':>12}{'accuracy':>10}")
    for name, row in rows.items():
        print(
            f"{name:34}{row['tokens_per_second']:10.0f}{row['forwards']:10.0f}"
            f"{row['ms_per_forward']:12.2f}{row['accuracy']:10.1%}"
        )
    loop = rows[LOOP]
    vanilla = rows["unmask vanilla"]["tokens_per_second"]
    for name, row in rows.items():
        if "fast-dllm" in name or "d3llm" in name:
            print(
                f"{name}: {row['tokens_per_second'] / vanilla:.1f}x vanilla, "
                f"{row['tokens_per_second'] / loop['tokens_per_second']:.1f}x the plain loop, "
                f"{loop['ms_per_forward'] / row['ms_per_forward']:.1f}x at equal forwards"
            )
    print("selection and bookkeeping, share of the forwards' time, by batch size:", shares)


def machine() -> dict[str, object]:
    """Where and with what this was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "unmask": unmask.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    main()
