"""SNIPS: a spoken command to its intent and slots (CC0, Coucke et al. 2018).

    prompt  Parse: play westbam on google music
    answer  PlayMusic; artist = westbam; service = google music

The data set is not shipped; `read` takes the tokenised JSON-lines form (text, IOB slots, intent).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from unmask.evaluate.task import Example

CANVAS = 64


def read(path: Path) -> Iterator[Example]:
    """Examples from ``path`` (.jsonl or .jsonl.gz)."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            answer = _answer(row["intent"], row["text"].split(), row["slots"].split())
            yield Example(f"Parse: {row['text']}", answer, answer)


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
