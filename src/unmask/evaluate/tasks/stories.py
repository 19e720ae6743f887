"""Arithmetic stories: who has how many after one to four dependent steps, solved step by step.

The test split is held out twice: its number tuples (start and every amount) never occur in
training, chosen by a hash, and every sentence of its prompts uses wordings that training never
shows.

    prompt  Mia has 12 apples. She buys 7 more apples. How many apples does Mia have now?
    answer  Let us go step by step. Mia starts with 12 apples. Step 1: Mia buys 7 apples, so
            12 + 7 = 19. In the end Mia has 19 apples. The answer is 19.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from unmask.evaluate.task import Example, Generated, Split, Task

CANVAS = 96
LARGEST_TOTAL = 60
LARGEST_AMOUNT = 20
SMALLEST = 2  # of any number, so that "1 apples" is never written
MOST_STEPS = 4
TEST_SHARE = 8  # one tuple of numbers in eight is kept for the test split

PEOPLE = {
    "She": ("Mia", "Ana", "Zoe", "Lily", "Emma", "Nora", "Ruth", "Sara", "Kate", "Jane"),
    "He": ("Tom", "Ben", "Leo", "Max", "Sam", "Jack", "Paul", "Noah", "Adam", "Luke"),
}
THINGS = (
    "apples", "books", "coins", "cards", "pens", "shells", "stamps", "eggs", "balls", "stones",
    "plums", "cups", "rings", "toys", "keys", "hats", "nuts", "seeds", "boxes", "flowers",
)  # fmt: skip
GAIN = ("buys", "finds", "wins", "collects", "gets", "picks up")
LOSE = ("sells", "loses", "drops", "gives away", "throws out", "uses up")
GROW = {"doubles": 2, "triples": 3}

OPENINGS = {
    "train": (
        "{name} has {n} {thing}.",
        "{name} starts with {n} {thing}.",
        "At first {name} owns {n} {thing}.",
        "There are {n} {thing} in the bag of {name}.",
    ),
    "test": ("At first {name} has {n} {thing}.", "{name} owns {n} {thing}."),
}
CHANGES = {
    "train": (
        "{pronoun} {verb} {n} {thing}.",
        "Then {name} {verb} {n} {thing}.",
        "Later {pronoun_low} {verb} {n} of the {thing}.",
        "After that {name} {verb} {n} {thing}.",
        "On the next day {name} {verb} {n}.",
    ),
    "test": (
        "Then {pronoun_low} {verb} {n} of the {thing}.",
        "After that {pronoun_low} {verb} {n}.",
        "On the next day {pronoun_low} {verb} {n} {thing}.",
    ),
}
GROWTHS = {
    "train": (
        "{pronoun} {verb} the number of {thing}.",
        "Then {name} {verb} the {thing}.",
        "After that {name} {verb} the number of {thing}.",
    ),
    "test": (
        "Then {pronoun_low} {verb} the number of {thing}.",
        "After that {name} {verb} the {thing}.",
    ),
}
QUESTIONS = {
    "train": (
        "How many {thing} does {name} have now?",
        "How many {thing} does {pronoun_low} have in the end?",
        "Tell me the number of {thing} now.",
    ),
    "test": (
        "How many {thing} does {name} have in the end?",
        "How many {thing} does {pronoun_low} have now?",
    ),
}

INTROS = ("Let us go step by step.", "We solve this in small steps.")
FINAL = re.compile(r"The answer is (\d+)\.")


@dataclass(frozen=True)
class Step:
    """One change: ``before sign amount = after``."""

    verb: str
    sign: str
    before: int
    amount: int
    after: int


def examples(split: Split, seed: int = 0) -> Iterator[Example]:
    """Endless problems of one split."""
    draw = random.Random(f"stories/{split}/{seed}")
    while True:
        start, steps = numbers(draw)
        if held_out(start, steps) == (split == "test"):
            yield _write(draw, split, start, steps)


def score(example: Example, text: str) -> bool:
    """Whether the last stated answer is the right number."""
    found = FINAL.findall(text)
    return bool(found) and found[-1] == example.final


def numbers(draw: random.Random, most_steps: int = MOST_STEPS) -> tuple[int, list[Step]]:
    """A start and one to ``most_steps`` dependent changes."""
    start = total = draw.randint(SMALLEST, LARGEST_TOTAL // 2)
    steps: list[Step] = []
    for _ in range(draw.randint(1, most_steps)):
        steps.append(_change(draw, total))
        total = steps[-1].after
    return start, steps


def _change(draw: random.Random, total: int) -> Step:
    """A random change that keeps the total between the smallest and the largest."""
    room, stock = LARGEST_TOTAL - total, total - SMALLEST
    growths = [verb for verb, times in GROW.items() if total * times <= LARGEST_TOTAL]
    kinds = (
        ["gain"] * 3 * (room >= SMALLEST)
        + ["lose"] * 3 * (stock >= SMALLEST)
        + ["grow"] * bool(growths)
    )
    kind = draw.choice(kinds)
    if kind == "grow":
        verb = draw.choice(growths)
        return Step(verb, "*", total, GROW[verb], total * GROW[verb])
    if kind == "gain":
        amount = draw.randint(SMALLEST, min(room, LARGEST_AMOUNT))
        return Step(draw.choice(GAIN), "+", total, amount, total + amount)
    amount = draw.randint(SMALLEST, min(stock, LARGEST_AMOUNT))
    return Step(draw.choice(LOSE), "-", total, amount, total - amount)


def held_out(start: int, steps: list[Step]) -> bool:
    """Whether these numbers belong to the test split."""
    key = f"{start}" + "".join(f"{step.sign}{step.amount}" for step in steps)
    return zlib.crc32(key.encode()) % TEST_SHARE == 0


def _write(draw: random.Random, split: Split, start: int, steps: list[Step]) -> Example:
    pronoun = draw.choice(list(PEOPLE))
    name, thing = draw.choice(PEOPLE[pronoun]), draw.choice(THINGS)
    words = {"name": name, "thing": thing, "pronoun": pronoun, "pronoun_low": pronoun.lower()}
    prompt = [draw.choice(OPENINGS[split]).format(n=start, **words)]
    for step in steps:
        wordings = GROWTHS if step.sign == "*" else CHANGES
        prompt.append(draw.choice(wordings[split]).format(verb=step.verb, n=step.amount, **words))
    prompt.append(draw.choice(QUESTIONS[split]).format(**words))
    total = steps[-1].after
    answer = [draw.choice(INTROS), f"{name} starts with {start} {thing}."]
    numbered = draw.random() < 0.5
    for number, step in enumerate(steps, 1):
        answer.append(_solve(number if numbered else None, name, thing, step))
    answer.append(f"In the end {name} has {total} {thing}. The answer is {total}.")
    return Example(" ".join(prompt), " ".join(answer), str(total))


def _solve(number: int | None, name: str, thing: str, step: Step) -> str:
    what = f"the {thing}" if step.sign == "*" else f"{step.amount} {thing}"
    sum_ = f"{step.before} {step.sign} {step.amount} = {step.after}"
    if number is None:
        return f"Now {name} {step.verb} {what}. This makes {sum_}."
    return f"Step {number}: {name} {step.verb} {what}, so {sum_}."


TASKS = (
    Task(
        name="stories",
        about="arithmetic stories in one to four steps, held-out numbers and wordings",
        licence="made up here (Apache-2.0)",
        canvas=CANVAS,
        source=Generated(examples),
        score=lambda example, text: {"accuracy": float(score(example, text))},
    ),
)
