"""Accuracy of a built-in model on held-out problems, one token per forward or as asked.

    $ python recipes/tiny/evaluate.py tiny --stories 500 --sudoku sudoku4x4_test.jsonl

Prints one JSON line per task.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import torch

import unmask
from unmask.evaluate.task import Example
from unmask.evaluate.tasks import snips, stories, sudoku


def main() -> None:
    """Print one JSON line per task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="built-in name or checkpoint folder")
    parser.add_argument("--stories", type=int, default=0, metavar="N", help="held-out problems")
    parser.add_argument(
        "--sudoku", type=Path, metavar="FILE", help="puzzle and solution, JSON lines"
    )
    parser.add_argument("--snips", type=Path, metavar="FILE", help="snips_test.jsonl")
    parser.add_argument("--limit", type=int, help="at most so many problems of a file")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--preset", help="default: vanilla, or ar for a causal model")
    parser.add_argument("--cache")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--block-length", type=int)
    parser.add_argument("--out", type=Path, help="JSON lines to append to as well")
    arguments = parser.parse_args()
    model = unmask.load(arguments.model, device="cpu")
    for task, examples in problems(arguments):
        line = json.dumps(measure(model, task, examples, arguments))
        print(line, flush=True)
        if arguments.out:
            with arguments.out.open("a") as file:
                print(line, file=file)


def problems(arguments: argparse.Namespace) -> list[tuple[Any, list[Example]]]:
    """The tasks that were asked for."""
    found: list[tuple[Any, list[Example]]] = []
    if arguments.stories:
        found.append((stories, list(itertools.islice(stories.examples("test"), arguments.stories))))
    if arguments.sudoku:
        rows = map(json.loads, arguments.sudoku.read_text().splitlines())
        puzzles = [sudoku.from_puzzle(row["puzzle"], row["solution"]) for row in rows]
        found.append((sudoku, puzzles[: arguments.limit]))
    if arguments.snips:
        found.append((snips, list(snips.read(arguments.snips))[: arguments.limit]))
    return found


def measure(
    model: unmask.Model, task: Any, examples: list[Example], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Accuracy and counts of ``task``, a module in `unmask.evaluate.tasks`."""
    started = time.perf_counter()
    preset = arguments.preset or ("ar" if model.card.causal else "vanilla")
    results = unmask.generate(
        model,
        [example.prompt for example in examples],
        preset,
        batch_size=arguments.batch_size,
        max_new_tokens=task.CANVAS,
        cache=arguments.cache,
        threshold=arguments.threshold,
        block_length=arguments.block_length,
    )
    pairs = zip(examples, results, strict=True)
    right = sum(task.score(example, result.text or "") for example, result in pairs)
    return {
        "model": model.card.name,
        "task": task.__name__.rsplit(".")[-1],
        "preset": preset,
        "cache": arguments.cache,
        "threshold": arguments.threshold,
        "block_length": arguments.block_length,
        "unmask": unmask.__version__,
        "torch": torch.__version__,
        "problems": len(examples),
        "accuracy": round(right / len(examples), 4),
        "tokens": sum(result.tokens for result in results),
        "forwards": sum(result.forwards for result in results),
        "seconds": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    main()
