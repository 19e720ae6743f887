"""What does a token cost as context, answer and batch grow?

    python benchmarks/growth.py --out docs/results/growth.jsonl
    python benchmarks/growth_plot.py docs/results/growth.jsonl docs/results

The built-in weights, at lengths that they were never trained for: what they write there means
nothing, so prompts are random ids, no text ends early, and how many tokens a forward writes is
replayed from what was measured on stories (REPLAYED). Rounds go through all points, contenders in
turn, once with all threads and once with one (which decoding token by token likes better); so the
rounds of a point lie minutes apart. The fastest counts. ``vanilla`` is timed for its first forwards
only, which all cost the same. A run that was stopped goes on where it was. ``--table`` prints what
the file has.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import unmask
from decode_speed import machine
from twin import Twin
from unmask.decode.generate import prepare
from unmask.decode.loop import decode
from unmask.decode.proposal import Proposal
from unmask.decode.slate import Slate, take
from unmask.models.blocks import Rotary

CONTEXTS, ANSWERS, BATCHES = (
    (256, 512, 1024, 2048, 4096),
    (64, 128, 256, 512, 1024),
    (1, 2, 4, 8, 16, 32, 64, 128),
)
QUICK = ((16, 32), (8, 16), (1, 2))
PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "AR with KV cache": ("tiny-ar", "ar", {}),
    "d3llm, distilled": ("tiny-fast", "d3llm", {}),
    "fast-dllm, dual cache": ("tiny", "fast-dllm", {"cache": "dual"}),
    "vanilla": ("tiny", "vanilla", {}),
}
TWIN = "transformers generate"
REPLAYED = {"d3llm, distilled": 9, "fast-dllm, dual cache": 4}
"""Tokens a forward. Stories: 8.97, and 3.50 in blocks of 8, which whole forwards make 4."""
FIRST = {"vanilla": 4}
"""Forwards that are timed."""


@dataclass(frozen=True)
class Point:
    """Prompt and answer positions of every row, and rows."""

    context: int
    new: int
    batch: int


@dataclass(frozen=True)
class Timing:
    """One round: of all rows together."""

    seconds: float
    tokens: int
    forwards: int
    fed: int


@dataclass(frozen=True)
class Replayed:
    """A strategy that accepts so many tokens a forward, the surest ones."""

    tokens: int
    random = False

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        return take(torch.full_like(slate.total_B, self.tokens), proposal.confidence_BA, slate)


Run = Callable[[Point], Timing]
Records = dict[tuple[str, Point], dict[str, Any]]
ORDER = (*PRESETS, TWIN)


def points(sizes: tuple[tuple[int, ...], ...]) -> list[Point]:
    """Along one axis after the other; on the others, the first size."""
    context, new, batch = (axis[0] for axis in sizes)
    every = [Point(size, new, batch) for size in sizes[0]]
    every += [Point(context, size, batch) for size in sizes[1]]
    every += [Point(context, new, size) for size in sizes[2]]
    return list(dict.fromkeys(every))


def prompts(point: Point) -> list[list[int]]:
    """Random ids, the same for all contenders."""
    generator = torch.Generator().manual_seed(0)
    ids: list[list[int]] = torch.randint(
        3, 2048, (point.batch, point.context), generator=generator
    ).tolist()
    return ids


def lengthened(name: str, length: int) -> unmask.Model:
    """A built-in model that takes texts of ``length``."""
    model = unmask.load(name, device="cpu")
    denoiser = model.denoiser
    denoiser.card = replace(denoiser.card, max_length=length)
    denoiser.rotary = Rotary(denoiser.body, length)
    return model


def ours(model: unmask.Model, contender: str, point: Point) -> Timing:
    """A preset, with its acceptance replayed."""
    _, preset, given = PRESETS[contender]
    overrides = {**given, "max_new_tokens": point.new, "early_stop": False}
    rows = prepare(model, prompts(point), preset, raw=True, overrides=overrides)
    if contender in REPLAYED:
        for row in rows:
            row.policy = replace(row.policy, strategy=Replayed(REPLAYED[contender]))
    started = time.perf_counter()
    frames = itertools.islice(decode(model.denoiser, rows, point.batch), FIRST.get(contender))
    commits = list(frames)
    seconds = time.perf_counter() - started
    every = list(itertools.chain.from_iterable(commits))
    tokens = sum(len(one.positions) for one in every)
    return Timing(seconds, tokens, len(commits), sum(one.fed for one in every))


def theirs(twin: Twin, point: Point) -> Timing:
    """transformers' ``generate``."""
    ids, calls, fed = prompts(point), twin.meter.calls, twin.meter.fed
    started = time.perf_counter()
    answers = twin.decode(ids, point.new, early_stop=False)
    seconds = time.perf_counter() - started
    assert all(len(answer) == point.new for answer in answers)
    return Timing(seconds, point.new * point.batch, twin.meter.calls - calls, twin.meter.fed - fed)


def contenders(length: int) -> dict[str, Run]:
    """Everyone, for texts of up to ``length``."""
    models = {name: lengthened(name, length) for name, _, _ in PRESETS.values()}
    runs: dict[str, Run] = {
        contender: partial(ours, models[name], contender)
        for contender, (name, _, _) in PRESETS.items()
    }
    return runs | {TWIN: partial(theirs, Twin(models["tiny-ar"]))}


def record(contender: str, point: Point, timing: Timing) -> dict[str, Any]:
    """A line of the file."""
    return {
        "contender": contender,
        **asdict(point),
        "ms_per_token": round(1000 * timing.seconds / timing.tokens, 4),
        "tokens_per_second": round(timing.tokens / timing.seconds, 1),
        **asdict(timing),
        "replayed": REPLAYED.get(contender),
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """All records of a file, if there is one."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read(path: Path) -> Records:
    """By contender and point, the fastest."""
    found: Records = {}
    for one in sorted(lines(path), key=lambda one: -float(one["ms_per_token"])):
        found[key(one)] = one
    return dict(sorted(found.items(), key=lambda item: ORDER.index(item[0][0])))


def key(one: dict[str, Any]) -> tuple[str, Point]:
    """Who, and where."""
    return one["contender"], Point(one["context"], one["new"], one["batch"])


def table(records: Records) -> str:
    """Tokens per second of all rows together, as Markdown."""
    names = list(dict.fromkeys(name for name, _ in records))
    lines = [f"| context | new | batch | {' | '.join(names)} |", "|" + "---:|" * (3 + len(names))]
    for at in sorted({point for _, point in records}, key=astuple):
        rates = [records[name, at]["tokens_per_second"] for name in names]
        said = [f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}" for rate in rates]
        lines.append(f"| {at.context:,} | {at.new:,} | {at.batch} | {' | '.join(said)} |")
    return "\n".join(lines)


def run_all(sizes: tuple[tuple[int, ...], ...], rounds: int, out: Path) -> None:
    """Append a line for every contender, point, thread count and round that is not in the file."""
    runs = contenders(sum(max(axis) for axis in sizes[:2]))
    done = Counter((one["threads"], *key(one)) for one in lines(out))
    every = torch.get_num_threads()
    for run in runs.values():
        run(points(sizes)[0])  # warms up
    turns = itertools.product(range(rounds), sorted({every, 1}, reverse=True), points(sizes))
    for turn, threads, point in turns:
        torch.set_num_threads(threads)
        for name, run in runs.items():
            if turn >= done[threads, name, point]:
                found = record(name, point, run(point)) | machine()
                with out.open("a") as file:
                    print(json.dumps(found), file=file)
                print(turn, threads, point, name, found["ms_per_token"], flush=True)
    torch.set_num_threads(every)


def main() -> None:
    """Measure what is missing, append a JSON line for each, print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines to append to")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the file")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else (CONTEXTS, ANSWERS, BATCHES)
    if not arguments.table:
        run_all(sizes, arguments.rounds, arguments.out)
    print(table(read(arguments.out)))


if __name__ == "__main__":
    main()
