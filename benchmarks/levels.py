"""How many answers does another CPU change? One machine plays several, by ATEN_CPU_CAPABILITY.

    python benchmarks/levels.py --out docs/results/levels.jsonl

torch takes the widest instructions that a CPU has. Told to take narrower ones, it sums in another
order, as an older CPU does. Every level answers the same held-out stories, in a process of its own;
what it wrote is compared with what the widest level wrote.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import unmask
from decode_speed import machine
from unmask.evaluate.tasks import stories

CONTENDERS = (("tiny-fast", "d3llm"), ("tiny", "fast-dllm"), ("tiny-ar", "ar"))
LEVELS = ("default", "avx2", None)
"""None: the widest that the CPU has."""
PROMPTS = 20
"""So many prompts have their logits compared."""


def answers(name: str, preset: str, count: int) -> dict[str, Any]:
    """What this process's level makes of ``count`` stories."""
    model = unmask.load(name, "cpu")
    examples = list(itertools.islice(stories.examples("test"), count))
    results = unmask.generate(model, [one.prompt for one in examples], preset)
    pairs = zip(examples, results, strict=True)
    shown = [one.trajectory for one in results[:PROMPTS]]
    prompts = [one.tokens_L[: one.prompt_length].tolist() for one in shown]
    return {
        "level": torch.backends.cpu.get_cpu_capability(),
        "ids": [result.token_ids for result in results],
        "forwards": [result.forwards for result in results],
        "right": sum(stories.score(one, result.text or "") for one, result in pairs),
        "logits": [model.logits(ids).tolist() for ids in prompts],
    }


def of_level(level: str | None, name: str, preset: str, count: int) -> dict[str, Any]:
    """The same, of another process."""
    command = [sys.executable, __file__, "--answer", name, preset, "--count", str(count)]
    environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    if level:
        environment["ATEN_CPU_CAPABILITY"] = level
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(one: dict[str, Any], widest: dict[str, Any]) -> dict[str, Any]:
    """How much of ``one`` is the same."""
    count = len(one["ids"])
    same = [a == b for a, b in zip(one["ids"], widest["ids"], strict=True)]
    forwards = [a == b for a, b in zip(one["forwards"], widest["forwards"], strict=True)]
    pairs = zip(one["logits"], widest["logits"], strict=True)
    apart = [(torch.tensor(a) - torch.tensor(b)).abs().max().item() for a, b in pairs]
    return {
        "same_tokens": sum(same) / count,
        "same_tokens_and_forwards": sum(map(all, zip(same, forwards, strict=True))) / count,
        "right": one["right"] / count,
        "right_widest": widest["right"] / count,
        "logits_apart": max(apart),
    }


def main() -> None:
    """Measure, print, append JSON lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="stories")
    parser.add_argument("--answer", nargs=2, help=argparse.SUPPRESS)  # what the processes do
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    given = parser.parse_args()
    if given.answer:
        name, preset = given.answer
        print(json.dumps(answers(name, preset, given.count)))
        return
    for name, preset in CONTENDERS:
        found = {}
        for level in LEVELS:
            one = of_level(level, name, preset, given.count)
            found[one["level"]] = one
        *narrow, (widest, most) = found.items()
        for level, one in narrow:
            line = {"model": name, "preset": preset, "stories": given.count, "level": level}
            line |= {"widest": widest, **compare(one, most), **machine()}
            print(json.dumps(line), flush=True)
            if given.out:
                with given.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
