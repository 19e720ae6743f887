"""Our presets, the published loops and transformers' `generate` in turn, against the ceilings.

    python benchmarks/side_by_side.py --out docs/results/side_by_side.jsonl

All answer the same held-out stories, round by round, in one process, with all threads and with one
(which decoding token by token likes better); the fastest round counts. The tokens of transformers
and of our autoregressive twin have to be the same, or the run ends. What is multiplied and read is
counted at every call (meter.py). Published loops: reference_loops.py, around transformers' model;
full_canvas.py, around ours. ``--table FILE`` prints the last record.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import ceilings
import full_canvas
import reference_loops
import unmask
from decode_speed import machine
from forward import Stopwatch, scored
from meter import Meter, metered
from reference_loops import Answer, Rule, certainty, confidence
from twin import Theirs, Twin
from unmask.decode.generate import finished, prepare
from unmask.decode.presets import TUNED
from unmask.decode.prompts import canvas_of
from unmask.decode.stopping import end_of
from unmask.evaluate.memory import PeakMemory
from unmask.evaluate.task import Example
from unmask.evaluate.tasks import stories

PRESETS = (
    ("tiny-fast", "d3llm", 1),
    ("tiny-fast", "d3llm", 8),
    ("tiny", "fast-dllm", 1),
    ("tiny", "fast-dllm", 8),
    ("tiny", "vanilla", 1),
    ("tiny-ar", "ar", 1),
    ("tiny-ar", "ar", 8),
)
BAR = 0.95
SURE = Rule(confidence, BAR)
CERTAIN = Rule(certainty, -TUNED["d3llm", "tiny-fast"]["threshold"])
CACHES = {"none": "whole canvas", "prefix": "prefix cache", "dual": "dual cache"}
SHARE = 0.1
"""Of a block's tokens, at which the next one enters: d3LLM's."""
AGAINST = (
    ("tiny-fast d3llm, batch 1", "tiny-fast d3LLM's loop"),
    ("tiny fast-dllm, batch 1", "tiny Fast-dLLM's loop, whole canvas"),
    ("tiny fast-dllm, batch 1", "tiny Fast-dLLM's loop, prefix cache"),
    ("tiny fast-dllm, batch 1", "tiny Fast-dLLM's loop, dual cache"),
    ("tiny-fast d3llm, batch 1", "tiny vanilla, batch 1"),
    ("tiny-fast d3llm, batch 1", "tiny-ar ar, batch 1"),
    ("tiny-fast d3llm, batch 1", "tiny-ar transformers, batch 1"),
)
HEADS = (
    "decoder", "threads", "right", "tokens/s", "calls", "fed", "ms a call",
    "model / scoring / rest, %", "MFLOP a token", "of the products' rate",
    "MB a token", "of the copying rate", "peak, MB",
)  # fmt: skip


@dataclass(frozen=True)
class Pass:
    """All prompts once. ``model`` and ``scoring`` are seconds; scoring None: not told apart."""

    seconds: float
    answers: list[list[int]]
    calls: int
    fed: int
    flops: int
    bytes: int
    model: float
    scoring: float | None
    threads: int


Run = Callable[[list[list[int]]], Pass]
Loop = Callable[[Theirs, list[int]], Answer]


def passed(seconds: float, answers: list[list[int]], meter: Meter, scoring: float | None) -> Pass:
    """With what the meter counted."""
    counts = (meter.calls, meter.fed, meter.flops, meter.bytes, meter.seconds)
    return Pass(seconds, answers, *counts, scoring, torch.get_num_threads())


def ours(
    model: unmask.Model, preset: str, batch: int, canvas: int, prompts: list[list[int]]
) -> Pass:
    """A preset of the package."""
    watch, (watched, meter) = Stopwatch(), metered(model)
    with scored(watch):
        rows = prepare(
            watched, list(prompts), preset, raw=True, overrides={"max_new_tokens": canvas}
        )
        started = time.perf_counter()
        results = dict(finished(watched, rows, batch))
        seconds = time.perf_counter() - started
    answers = [results[row].token_ids for row in range(len(prompts))]
    return passed(seconds, answers, meter, watch.seconds)


def plain(model: unmask.Model, bar: float | None, canvas: int, prompts: list[list[int]]) -> Pass:
    """The full-canvas loop around our model."""
    watched, meter = metered(model)
    block, started = model.defaults["block_length"], time.perf_counter()
    answers = [
        full_canvas.decode(watched, one, canvas, block, threshold=bar).token_ids for one in prompts
    ]
    return passed(time.perf_counter() - started, answers, meter, None)


def published(model: Theirs, loop: Loop, prompts: list[list[int]]) -> Pass:
    """A published loop around transformers' model."""
    meter, started = model.fresh(), time.perf_counter()
    answers = [loop(model, one).token_ids for one in prompts]
    return passed(time.perf_counter() - started, answers, meter, None)


def theirs(twin: Twin, batch: int, canvas: int, prompts: list[list[int]]) -> Pass:
    """transformers."""
    meter = twin.fresh()
    answers, started = [], time.perf_counter()
    for start in range(0, len(prompts), batch):
        answers += twin.decode(prompts[start : start + batch], canvas)
    return passed(time.perf_counter() - started, answers, meter, None)


def contenders(models: dict[str, unmask.Model], canvas: int) -> dict[str, tuple[Run, int]]:
    """How each runs, and its batch size, by name."""
    runs: dict[str, tuple[Run, int]] = {}
    for name, preset, batch in PRESETS:
        run = partial(ours, models[name], preset, batch, canvas)
        runs[f"{name} {preset}, batch {batch}"] = run, batch
    for said, bar in (("one token", None), (f"bar {BAR}", BAR)):
        run = partial(plain, models["tiny"], bar, canvas)
        runs[f"tiny plain loop, {said}, batch 1"] = run, 1
    for said, name, loop in loops(models["tiny"].defaults["block_length"], canvas):
        runs[f"{name} {said}"] = partial(published, Theirs(models[name]), loop), 1
    twin = Twin(models["tiny-ar"])
    for batch in (1, 8):
        run = partial(theirs, twin, batch, canvas)
        runs[f"tiny-ar transformers, batch {batch}"] = run, batch
    return runs


def loops(block: int, canvas: int) -> Iterator[tuple[str, str, Loop]]:
    """The published ones: what they are called, with which model, and how they decode a prompt."""
    blockwise = partial(reference_loops.blockwise, length=canvas, block=block)
    for cache, said in CACHES.items():
        yield f"Fast-dLLM's loop, {said}", "tiny", partial(blockwise, rule=SURE, cache=cache)
    yield "dParallel's loop", "tiny-fast", partial(blockwise, rule=CERTAIN)
    several = partial(reference_loops.several_blocks, length=canvas, block=block)
    yield "d3LLM's loop", "tiny-fast", partial(several, rule=CERTAIN, share=SHARE)


def cut(answers: list[list[int]], ends: tuple[int, ...]) -> list[list[int]]:
    """Up to and with the first end token."""
    return [answer[: end_of(answer, ends) + 1] for answer in answers]


def agree(passes: dict[str, list[Pass]], ends: tuple[int, ...]) -> None:
    """transformers and we write the same tokens; raises AssertionError where not."""
    for batch in (1, 8):
        own, other = (
            cut(passes[f"tiny-ar {kind}, batch {batch}"][0].answers, ends)
            for kind in ("ar", "transformers")
        )
        assert own == other, f"transformers writes other tokens than tiny-ar at batch {batch}"


def right(answers: list[list[int]], model: unmask.Model, examples: list[Example]) -> int:
    """How many are."""
    assert model.codec
    texts = [model.codec.decode(one[: end_of(one, model.card.end_ids)]) for one in answers]
    return int(sum(stories.score(e, text) for e, text in zip(examples, texts, strict=True)))


def line(own: list[Pass], batch: int, ends: tuple[int, ...], peak: int) -> dict[str, Any]:
    """The fastest round."""
    best = min(own, key=lambda one: one.seconds)
    tokens = sum(map(len, cut(best.answers, ends)))
    alone = (
        batch == 1 or best.threads == 1
    )  # rows of a batch run at once on several cores: their parts do not add up
    found = asdict(best)
    del found["answers"], found["seconds"]
    return {
        "tokens_per_second": round(tokens / best.seconds, 1),
        "tokens": tokens,
        "ms_per_forward": round(1000 * best.seconds / best.calls, 3),
        **found,
        "model": round(best.model / best.seconds, 3) if alone else None,
        "scoring": round(best.scoring / best.seconds, 3) if alone and best.scoring else None,
        "mflop_per_token": round(best.flops / tokens / 1e6, 2),
        "mb_per_token": round(best.bytes / tokens / 1e6, 3),
        "gflops": round(best.flops / best.seconds / 1e9, 2),
        "gb_per_second": round(best.bytes / best.seconds / 1e9, 2),
        "peak_mb": round(peak / 2**20, 1),
    }


def contest(
    prompts: list[list[int]], examples: list[Example], rounds: int, canvas: int
) -> dict[str, dict[str, Any]]:
    """A line for every contender."""
    names = dict.fromkeys(name for name, _, _ in PRESETS)
    models = {name: unmask.load(name, device="cpu") for name in names}
    ends, runs = models["tiny-ar"].card.end_ids, contenders(models, canvas)
    for run, batch in runs.values():
        run(prompts[:batch])  # warms up
    passes: dict[str, list[Pass]] = {name: [] for name in runs}
    every = torch.get_num_threads()
    for threads in sorted({every, 1}, reverse=True) * rounds:
        torch.set_num_threads(threads)
        for name, (run, _) in runs.items():
            passes[name].append(run(prompts))
    torch.set_num_threads(every)
    agree(passes, ends)
    peaks = {}
    for name, (run, batch) in runs.items():
        with PeakMemory(torch.device("cpu")) as peak:
            run(prompts[:batch])
        peaks[name] = peak.bytes
    return {
        name: line(own, runs[name][1], ends, peaks[name])
        | {"right": right(own[0].answers, models["tiny"], examples)}
        for name, own in passes.items()
    }


def parts(row: dict[str, Any]) -> str:
    """Where the time went, in per cent."""
    if row["model"] is None:
        return ""
    rest = 1 - row["model"] - (row["scoring"] or 0)
    scoring = "-" if row["scoring"] is None else f"{100 * row['scoring']:.0f}"
    return f"{100 * row['model']:.0f} / {scoring} / {100 * rest:.0f}"


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    top, copy = record["ceilings"]["products large GFLOP/s"], record["ceilings"]["copy large GB/s"]
    lines = ["| " + " | ".join(HEADS) + " |", "|---|" + "---:|" * (len(HEADS) - 1)]
    for name, row in record["rows"].items():
        lines.append(
            f"| {name} | {row['threads']} | {row['right']} | {row['tokens_per_second']:,.0f} | "
            f"{row['calls']:,} | {row['fed']:,} | {row['ms_per_forward']:.2f} | {parts(row)} | "
            f"{row['mflop_per_token']:.1f} | {row['gflops'] / top:.0%} | "
            f"{row['mb_per_token']:.2f} | {row['gb_per_second'] / copy:.0%} | "
            f"{row['peak_mb']:.1f} |"
        )
    return "\n".join(lines)


def ratios(rows: dict[str, dict[str, Any]]) -> str:
    """Ours against theirs, and the same at equal forwards: the time of one of each."""
    lines = ["| ours | against | tokens/s | per forward |", "|---|---|---:|---:|"]
    for own, other in AGAINST:
        rate = rows[own]["tokens_per_second"] / rows[other]["tokens_per_second"]
        spent = rows[other]["ms_per_forward"] / rows[own]["ms_per_forward"]
        lines.append(f"| {own} | {other} | {rate:.1f} | {spent:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, append one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--canvas", type=int, default=stories.CANVAS, help="answer positions")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    parser.add_argument("--table", type=Path, help="print the last record of this file, and end")
    arguments = parser.parse_args()
    if arguments.table:
        record = json.loads(arguments.table.read_text().splitlines()[-1])
        print(table(record), ratios(record["rows"]), sep="\n\n")
        return
    model = unmask.load("tiny", device="cpu")
    prompts = []
    examples = list(itertools.islice(stories.examples("test", seed=1), arguments.prompts))
    for example in examples:
        canvas = canvas_of(model, example.prompt, arguments.canvas, raw=False)
        prompts.append(canvas.tokens_L[: canvas.prompt_length].tolist())
    before = ceilings.measure()
    rows = contest(prompts, examples, arguments.rounds, arguments.canvas)
    after = ceilings.measure()
    best = {name: max(value, after[name]) for name, value in before.items()}
    what = {"prompts": len(prompts), "canvas": arguments.canvas, **machine()}
    record = {**what, "ceilings": best, "rows": rows}
    print(json.dumps(best), table(record), ratios(rows), sep="\n\n")
    if arguments.out:
        with arguments.out.open("a") as file:
            print(json.dumps(record), file=file)


if __name__ == "__main__":
    main()
