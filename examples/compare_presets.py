"""Compare two presets on the same questions: forwards, positions fed, and whether they agree.

    python examples/compare_presets.py vanilla d3llm

Counts repeat exactly, seconds do not: for speeds see `unmask bench`, which takes turns.
"""

from __future__ import annotations

import sys

import unmask

QUESTIONS = [
    f"{name} has {have} {things}. {name} buys {more} {things}. "
    f"How many {things} does {name} have now?"
    for name, have, more, things in [
        ("Mia", 12, 7, "apples"), ("Ben", 9, 14, "shells"), ("Tom", 20, 5, "pens"),
    ]
]  # fmt: skip


def main(*presets: str) -> None:
    """A line for each preset."""
    model = unmask.load("tiny")
    found = {preset: unmask.generate(model, QUESTIONS, preset) for preset in presets}
    for preset, answers in found.items():
        forwards = sum(answer.forwards for answer in answers)
        tokens = sum(answer.tokens for answer in answers)
        fed = sum(answer.fed_positions for answer in answers)
        print(f"{preset}: {forwards} forwards, {tokens / forwards:.2f} tokens each, {fed} fed")
    texts = [[answer.text for answer in answers] for answers in found.values()]
    same = sum(len(set(answers)) == 1 for answers in zip(*texts, strict=True))
    print(f"the same text for {same} of {len(QUESTIONS)} questions")


if __name__ == "__main__":
    main(*sys.argv[1:])
