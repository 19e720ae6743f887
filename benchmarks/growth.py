"""What does a token cost as context, answer and batch grow?

    python benchmarks/growth.py --out docs/results/growth.jsonl
    python benchmarks/growth_plot.py docs/results/growth.jsonl docs/results

The built-in weights, at lengths that they were never trained for: what they write there means
nothing, so prompts are random ids, no text ends early, and how many tokens a forward writes is
replayed from what was measured on stories (REPLAYED). A point's contenders run in turn; of each the
fastest round counts. ``vanilla`` is timed for its first forwards only, which all cost the same.
Points that the file already has are left out. ``--table`` prints them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
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
    (1, 2, 4, 8, 16, 32),
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
"""Tokens a forward. Stories: 9.05, and 3.50 in blocks of 8, which whole forwards make 4."""
FIRST = {"vanilla": 4}
"""Forwards that are timed."""
ENOUGH = 12.0
"""Seconds after which no further round of a contender begins."""


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


def measure(point: Point, runs: dict[str, Run], rounds: int) -> Iterator[dict[str, Any]]:
    """A record for every contender."""
    timings: dict[str, list[Timing]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            if sum(one.seconds for one in timings[name]) < ENOUGH:
                timings[name].append(run(point))
    for name, own in timings.items():
        best = min(own, key=lambda one: one.seconds)
        yield {
            "contender": name,
            **asdict(point),
            "ms_per_token": round(1000 * best.seconds / best.tokens, 4),
            "tokens_per_second": round(best.tokens / best.seconds, 1),
            **asdict(best),
            "replayed": REPLAYED.get(name),
            "rounds": len(own),
            **machine(),
        }


def read(path: Path) -> dict[tuple[str, Point], dict[str, Any]]:
    """Records by contender and point; the last one of each."""
    if not path.exists():
        return {}
    lines = map(json.loads, path.read_text().splitlines())
    return {(one["contender"], Point(one["context"], one["new"], one["batch"])): one
            for one in lines}  # fmt: skip


def table(records: dict[tuple[str, Point], dict[str, Any]]) -> str:
    """Tokens per second of all rows together, as Markdown."""
    names = list(dict.fromkeys(name for name, _ in records))
    lines = [f"| context | new | batch | {' | '.join(names)} |", "|" + "---:|" * (3 + len(names))]
    for at in dict.fromkeys(point for _, point in records):
        rates = [records[name, at]["tokens_per_second"] for name in names]
        said = [f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}" for rate in rates]
        lines.append(f"| {at.context:,} | {at.new:,} | {at.batch} | {' | '.join(said)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, append a JSON line for each, print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines to append to")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the file")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else (CONTEXTS, ANSWERS, BATCHES)
    done = read(arguments.out)
    if not arguments.table:
        runs = contenders(sum(max(axis) for axis in sizes[:2]))
        for run in runs.values():
            run(points(sizes)[0])  # warms up
        for point in points(sizes):
            missing = {name: run for name, run in runs.items() if (name, point) not in done}
            for record in measure(point, missing, arguments.rounds):
                with arguments.out.open("a") as file:
                    print(json.dumps(record), file=file)
                print(point, record["contender"], record["ms_per_token"], flush=True)
    print(table(read(arguments.out)))


if __name__ == "__main__":
    main()
