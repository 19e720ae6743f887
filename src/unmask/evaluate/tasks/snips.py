"""SNIPS: a spoken command to its intent and slots (CC0, Coucke et al. 2018).

    prompt  Parse: play westbam on google music
    answer  PlayMusic; artist = westbam; service = google music

The data set is not shipped; it is read in its tokenised form (text, IOB slots, intent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unmask import rows
from unmask.evaluate.task import Example, Files, Task

CANVAS = 64


def read(path: Path) -> Iterator[Example]:
    """Examples from a data file."""
    return map(example, rows.read(path))


def example(row: Mapping[str, Any]) -> Example:
    """One row."""
    answer = _answer(row["intent"], row["text"].split(), row["slots"].split())
    return Example(f"Parse: {row['text']}", answer, answer)


def score(example: Example, text: str) -> bool:
    """Exact match of the intent and of every slot."""
    return text.strip() == example.final


def _answer(intent: str, words: list[str], tags: list[str]) -> str:
    slots: list[tuple[str, list[str]]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            slots.append((tag[2:], [word]))
        elif tag.startswith("I-") and slots:
            slots[-1][1].append(word)
    return "; ".join([intent, *(f"{name} = {' '.join(value)}" for name, value in slots)])


TASKS = (
    Task(
        name="snips",
        about="a spoken command to its intent and slots",
        licence="CC0-1.0",
        canvas=CANVAS,
        source=Files(("slu/snips_test.jsonl", "snips/test.jsonl"), None, example),
        score=lambda example, text: {"accuracy": float(score(example, text))},
    ),
)
