"""Records of experiment.py -> accuracy over tokens per forward, a picture for each decoder.

    python recipes/distil/plot.py docs/results/distillation.jsonl docs/results

Seeds of an arm are taken together; every curve starts at the teacher's one token a forward.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from experiment import ARMS
from report import Record, read
from unmask.evaluate.curve import MEASURED, Curve, Dot, scored
from unmask.evaluate.intervals import Interval, wilson
from unmask.evaluate.plots import curves, style

SHOWN = {
    "dparallel": ("A0", "A3", "A3h", "A4", "A9", "S"),
    "d3llm": ("A0", "A3", "A4", "A8", "A9", "S"),
}
NAMES = {
    "A0": "teacher",
    "A3": "random blocks",
    "A3h": "certainty at 0.5",
    "A4": "teacher's order",
    "A8": "part-decoded blocks",
    "A9": "left to right",
    "S": "tiny-fast",
}
TITLES = {"dparallel": "Block by block (dparallel)", "d3llm": "Several blocks (d3llm)"}


def dot_of(records: list[Record]) -> Dot:
    """One bar, over all seeds."""
    right = "".join(one["right"] for one in records)
    tokens, forwards = (sum(sum(one[name]) for one in records) for name in ("tokens", "forwards"))
    accuracy = wilson(right.count("1"), len(right)).times(100)
    return Dot(Interval(tokens / forwards), accuracy, None, {"bar": records[0]["bar"]}, len(right))


def main() -> None:
    """Two pictures, light and dark."""
    found, folder = read(Path(sys.argv[1])), Path(sys.argv[2])
    start = dot_of(found["A0", 0]["vanilla"])
    for decoder, arms in SHOWN.items():
        drawn = []
        for arm in arms:
            points: dict[float, list[Record]] = defaultdict(list)
            for (name, _), decoders in found.items():
                for one in decoders.get(decoder, []) if name == arm else []:
                    points[one["bar"]].append(one)
            dots = sorted(map(dot_of, points.values()), key=lambda dot: dot.rate.value)
            drawn.append(Curve(decoder, NAMES[arm], MEASURED, (start, *dots)))
        order = [NAMES[arm] for arm in ARMS if arm in NAMES]
        for theme, suffix in (("light", ""), ("dark", "-dark")):
            figure = curves.draw(scored(drawn), TITLES[decoder], theme, order)
            style.save(figure, folder / f"distillation-{decoder}{suffix}.svg")


if __name__ == "__main__":
    main()
