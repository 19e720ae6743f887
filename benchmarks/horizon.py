"""What does a canvas horizon save on a long canvas?

    python benchmarks/horizon.py --out docs/results/horizon.jsonl

Held-out stories on the built-in model with 512 answer positions, of which a text needs 70: forwards
and positions fed are counted, not timed.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import unmask
from unmask.evaluate.tasks import stories

CANVAS = 512


def main() -> None:
    """Measure, print, append JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    model = unmask.load("tiny", device="cpu")
    examples = list(itertools.islice(stories.examples("test"), arguments.problems))
    prompts = [example.prompt for example in examples]
    for cache, horizon in itertools.product(("none", "dual", "sliding"), (None, 1, 4)):
        results = unmask.generate(
            model, prompts, "d3llm", max_new_tokens=CANVAS, cache=cache, horizon=horizon
        )
        line = {
            "cache": cache,
            "horizon": horizon,
            "problems": len(examples),
            "right": sum(
                stories.score(e, r.text or "") for e, r in zip(examples, results, strict=True)
            ),
            "forwards": sum(result.forwards for result in results),
            "fed": sum(result.fed_positions for result in results),
        }
        print(json.dumps(line), flush=True)
        if arguments.out:
            with arguments.out.open("a") as file:
                print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
