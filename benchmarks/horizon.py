"""What does a canvas cost that is longer than its text, and what does a horizon save?

    python benchmarks/horizon.py --out docs/results/horizon.jsonl
    python benchmarks/horizon.py --model tiny-fast --problems 200 --canvas 96 256 512 \
        --cache sliding --horizon 0 1 2 --out docs/results/horizon.jsonl

Held-out stories, of which a text needs about 70 positions: right answers, forwards and positions
fed are counted, not timed. Without a horizon ("all") the whole canvas is in sight.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import unmask
from unmask.evaluate.tasks import stories


def main() -> None:
    """Measure, print, append JSON lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--canvas", type=int, nargs="+", default=[512], help="answer positions")
    parser.add_argument("--cache", nargs="+", default=["none", "dual", "sliding"])
    parser.add_argument("--horizon", type=int, nargs="+", default=[1, 4], help="blocks; all, too")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    given = parser.parse_args()
    model = unmask.load(given.model, device="cpu")
    examples = list(itertools.islice(stories.examples("test"), given.problems))
    prompts = [example.prompt for example in examples]
    for canvas, cache, horizon in itertools.product(
        given.canvas, given.cache, (None, *given.horizon)
    ):
        results = unmask.generate(
            model,
            prompts,
            "d3llm",
            max_new_tokens=canvas,
            cache=cache,
            horizon=canvas if horizon is None else horizon,
        )
        line = {
            "model": given.model,
            "canvas": canvas,
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
        if given.out:
            with given.out.open("a") as file:
                print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
