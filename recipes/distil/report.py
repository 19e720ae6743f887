"""Records of experiment.py -> the tables of docs/results/distillation.md.

    python recipes/distil/report.py docs/results/distillation.jsonl

Every number is recomputed from the records. "to A0": ratio of mean forwards to those of the teacher
with the single-block decoder (dparallel) at its best bar. Intervals: 95 %, paired bootstrap over
the problems.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiment import ARMS
from unmask.evaluate.aup import aup

Record = dict[str, Any]
DRAWS = 2000
PAIRS = (
    ("A3", "A0"), ("A3h", "A3"), ("A4", "A3"), ("A5", "A4"), ("A6", "A4"), ("A7", "A6"),
    ("A8", "A7"), ("A8", "A4"), ("A9", "A4"), ("A10", "A4"),
)  # fmt: skip
BUDGET = 1.0  # points of accuracy below the teacher, one token a forward


def read(path: Path) -> dict[tuple[str, int], dict[str, list[Record]]]:
    """Records by (arm, seed), then decoder, bars ascending."""
    found: dict[tuple[str, int], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines():
        one = json.loads(line)
        found[one["arm"], one["seed"]][one["decoder"]].append(one)
    for decoders in found.values():
        for points in decoders.values():
            points.sort(key=lambda one: one["bar"])
    return found


def accuracy(one: Record) -> float:
    """In percent."""
    return 100.0 * float(one["right"].count("1")) / float(one["problems"])


def forwards(one: Record) -> float:
    """Mean per problem."""
    return float(np.mean(one["forwards"]))


def parallelism(one: Record) -> float:
    """Tokens up to and including the end token, over forwards."""
    return float(sum(one["tokens"]) / sum(one["forwards"]))


def best(points: list[Record], floor: float) -> Record | None:
    """The point with the fewest forwards at no less than ``floor`` percent."""
    return min((one for one in points if accuracy(one) >= floor), key=forwards, default=None)


def interval(one: Record, other: Record) -> tuple[float, float]:
    """95 % of the ratio of mean forwards, problems drawn in pairs."""
    a, b = np.array(one["forwards"]), np.array(other["forwards"])
    draw = np.random.default_rng(0).integers(0, len(a), (DRAWS, len(a)))
    low, high = np.percentile(a[draw].mean(1) / b[draw].mean(1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Print the tables."""
    found = read(Path(sys.argv[1]))
    teacher = found["A0", 0]
    vanilla = teacher["vanilla"][0]
    floor = accuracy(vanilla) - BUDGET
    print(f"Teacher, one token a forward: {accuracy(vanilla):.1f} %, {forwards(vanilla):.1f} "
          f"forwards, {vanilla['problems']} problems; floor {floor:.1f} %.\n")  # fmt: skip
    top = max(accuracy(p) for arm in found.values() for points in arm.values() for p in points)
    print("| arm | seed | decoder | bar | forwards | to A0 (95 %) | right | AUP | own best |")
    print("|---|---|---|---|---|---|---|---|---|")
    base = best(teacher["dparallel"], floor)
    assert base is not None, "the teacher keeps its accuracy at some bar"
    start = (parallelism(vanilla), accuracy(vanilla))
    for (arm, seed), decoders in sorted(found.items(), key=_order):
        for decoder, points in decoders.items():
            if decoder == "vanilla":
                continue
            curve = [start, *((parallelism(p), accuracy(p)) for p in points)]
            areas = f"{aup(curve, top).value:.0f} | {aup(curve).value:.0f}"
            one = best(points, floor)
            if one is None:
                print(f"| {arm} | {seed} | {decoder} | none within the budget | | | | {areas} |")
                continue
            low, high = interval(one, base)
            ratio = forwards(one) / forwards(base)
            print(
                f"| {arm} | {seed} | {decoder} | {one['bar']} | {forwards(one):.2f} | "
                f"{ratio:.2f} ({low:.2f} to {high:.2f}) | {accuracy(one):.1f} % | {areas} |"
            )
    print(f"\nAUP of the teacher at one token a forward: {aup([start], top).value:.0f}")
    student = found["S", 0]
    several, one = (best(student[name], floor) for name in ("d3llm", "dparallel"))
    if several and one:
        low, high = interval(several, one)
        ratio = forwards(several) / forwards(one)
        print(f"S, several blocks against one: {ratio:.2f} ({low:.2f} to {high:.2f})")
    _pairs(found)
    print("\nAll points, forwards / right in percent by bar:\n")
    for (arm, seed), decoders in sorted(found.items(), key=_order):
        for decoder, points in decoders.items():
            shown = ", ".join(f"{p['bar']}: {forwards(p):.2f} / {accuracy(p):.1f}" for p in points)
            print(f"- {arm} ({ARMS[arm][0]}), seed {seed}, {decoder}: {shown}")


def _pairs(found: Mapping[tuple[str, int], Mapping[str, list[Record]]]) -> None:
    """Arms against each other at equal bars, over the seeds that both have."""
    heads = "arm", "against", "seeds", "decoder", "bar", "forwards, ratio", "right, points"
    print(f"\n| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for arm, other in PAIRS:
        seeds = sorted(seed for name, seed in found if name == arm and (other, seed) in found)
        for decoder in ("dparallel", "d3llm"):
            mine, theirs = (
                list(zip(*(found[name, seed][decoder] for seed in seeds), strict=True))
                for name in (arm, other)
            )
            for one, two in zip(mine, theirs, strict=True):
                fewer, better = against(one, two)
                print(
                    f"| {arm} | {other} | {len(seeds)} | {decoder} | {one[0]['bar']} | "
                    f"{fewer[0]:.2f} ({fewer[1]:.2f} to {fewer[2]:.2f}) | "
                    f"{better[0]:+.1f} ({better[1]:+.1f} to {better[2]:+.1f}) |"
                )


def against(
    one: Sequence[Record], other: Sequence[Record]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ratio of forwards and difference of accuracy in points, each with its 95 % interval.

    Answers of all seeds are drawn in pairs (same problem, same seed).
    """
    table = np.array(
        [
            [value for side in (one, other) for record in side for value in record["forwards"]],
            [int(sign) for side in (one, other) for record in side for sign in record["right"]],
        ],
        dtype=float,
    ).reshape(2, 2, -1)
    draw = np.random.default_rng(0).integers(0, table.shape[2], (DRAWS, table.shape[2]))
    means = table[:, :, draw].mean(3)
    fewer, better = means[0, 0] / means[0, 1], 100 * (means[1, 0] - means[1, 1])
    sums = table.mean(2)
    return (
        (sums[0, 0] / sums[0, 1], *np.percentile(fewer, [2.5, 97.5])),
        (100 * (sums[1, 0] - sums[1, 1]), *np.percentile(better, [2.5, 97.5])),
    )


def _order(entry: tuple[tuple[str, int], Any]) -> tuple[int, int]:
    return list(ARMS).index(entry[0][0]), entry[0][1]


if __name__ == "__main__":
    main()
