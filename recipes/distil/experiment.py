"""Which part of a distillation recipe makes a student fast? Trains every arm and measures it.

    python recipes/distil/experiment.py --data runs/harvest --out runs/arms \\
        --records docs/results/distillation.jsonl --arms A0 A3 A7 --seeds 0 1 2
    python recipes/distil/report.py docs/results/distillation.jsonl

Interrupted, it goes on where it was: trained students and measured points are not done again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from unmask.decode.generate import generate
from unmask.evaluate.tasks import stories
from unmask.models.loading import Model, load

SAME = ["ratio=[0.0,0.0,1.0]", "widths=[16]", "batch=24", "rate=1e-3"]
RISING = "ratio=[0.0,1.0,1.0]"
ARMS: dict[str, tuple[str, list[str]]] = {
    "A0": ("the teacher", []),
    "A1": ("more steps of the base objective", [
        "state=response", "complement=false", "filler=1.0", "weighting=inverse",
        "objectives={cross_entropy=1.0}",
    ]),
    "A2": ("random block masks, cross-entropy", ["objectives={cross_entropy=1.0}"]),
    "A3": ("A2 + certainty (dParallel)", []),
    "A3h": ("A3 with certainty at temperature 0.5", ["temperature=0.5"]),
    "A4": ("A3 with the teacher's order", ["state=window"]),
    "A5": ("A4 as d3LLM's code runs it", ["state=window", "compat=reference"]),
    "A6": ("A4 + ratio curriculum", ["state=window", RISING]),
    "A7": ("A6 + window curriculum (d3LLM)", ["state=window", RISING, "widths=[8,12,16]"]),
    "A8": ("A7 on several part-decoded blocks", ["state=flight", RISING, "widths=[8,12,16]",
                                                 "depth=4"]),
    "A9": ("A4 with left-to-right order", ["state=window", "order=left"]),
    "A10": ("A4 with the order of one forward's entropy", ["state=window", "order=entropy"]),
    "S": ("tiny-fast, of student.sh", []),
}  # fmt: skip
SHIPPED = {"A0": "tiny", "S": "tiny-fast"}
DECODERS: dict[str, tuple[str, dict[str, Any], tuple[float, ...]]] = {
    "vanilla": ("vanilla", {"early_stop": True, "cache": "dual"}, (0.0,)),
    "fast-dllm": ("fast-dllm", {"cache": "dual"}, (0.98, 0.95, 0.9)),
    "dparallel": ("dparallel", {"cache": "dual"}, (0.05, 0.1, 0.2, 0.5)),
    "d3llm": ("d3llm", {"cache": "sliding"}, (0.05, 0.1, 0.2, 0.5)),
}
KEY = ("arm", "seed", "decoder", "bar", "problems", "steps")
ROWS = 75
BLOCK = 16


def train(arm: str, seed: int, arguments: argparse.Namespace) -> str:
    """The checkpoint folder of an arm, trained if it is not there yet."""
    if arm in SHIPPED:
        return SHIPPED[arm]
    folder = arguments.out / f"{arm}-{seed}-{arguments.steps}"
    if not (folder / "student" / "config.json").exists():
        changes = [*SAME, *ARMS[arm][1]]
        given = [word for change in changes for word in ("--set", change)]
        command = [sys.executable, "-m", "unmask", "distill", "--recipe", "dparallel-tiny",
                   "--data", arguments.data, "--out", folder, "--seed", seed,
                   "--steps", arguments.steps, *given]  # fmt: skip
        subprocess.run([str(word) for word in command], check=True)
    return str(folder / "student")


def measure(model: Model, decoder: str, bar: float, problems: int) -> dict[str, Any]:
    """One decoder at one bar over the held-out problems; figures per problem."""
    preset, given, _ = DECODERS[decoder]
    examples = list(itertools.islice(stories.examples("test"), problems))
    overrides = dict(given) if decoder == "vanilla" else {**given, "threshold": bar}
    started = time.perf_counter()
    results = generate(
        model, [example.prompt for example in examples], preset, batch_size=ROWS,
        max_new_tokens=stories.CANVAS,
        block_length=BLOCK, **overrides,
    )  # fmt: skip
    pairs = zip(examples, results, strict=True)
    return {
        "right": "".join(str(int(stories.score(e, r.text or ""))) for e, r in pairs),
        "forwards": [result.forwards for result in results],
        "tokens": [result.tokens for result in results],
        "seconds": round(time.perf_counter() - started, 2),
    }


def main() -> None:
    """All arms, seeds, decoders and bars that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--decoders", nargs="+", default=["dparallel", "d3llm"])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--problems", type=int, default=150)
    arguments = parser.parse_args()
    done = set()
    if arguments.records.exists():
        lines = map(json.loads, arguments.records.read_text().splitlines())
        done = {tuple(one[name] for name in KEY) for one in lines}
    for seed, arm in itertools.product(arguments.seeds, arguments.arms):
        if arm in SHIPPED and seed:
            continue
        wanted = [
            (decoder, bar)
            for decoder in (*arguments.decoders, *(["vanilla", "fast-dllm"] if arm == "A0" else []))
            for bar in DECODERS[decoder][2]
            if (arm, seed, decoder, bar, arguments.problems, arguments.steps) not in done
        ]
        if not wanted:
            continue
        model = load(train(arm, seed, arguments))
        for decoder, bar in wanted:
            figures = measure(model, decoder, bar, arguments.problems)
            head = {"arm": arm, "seed": seed, "decoder": decoder, "bar": bar,
                    "problems": arguments.problems, "steps": arguments.steps}  # fmt: skip
            with arguments.records.open("a") as file:
                print(json.dumps(head | figures), file=file)
            mean = sum(figures["forwards"]) / arguments.problems
            right = figures["right"].count("1") / arguments.problems
            print(f"{arm} {seed} {decoder} {bar}: {mean:.2f} forwards, {right:.1%}", flush=True)


if __name__ == "__main__":
    main()
