"""Batches of the tasks: prompt ids, a canvas of answer ids, end tokens up to the batch's end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sums
import torch
from tokenizers import Tokenizer
from torch import Tensor

from unmask.evaluate.task import Example
from unmask.evaluate.tasks import snips, stories, sudoku

POOL = 8  # batches drawn at once and sorted by length, so that little is padding
LONG_SHARE = 0.15  # batches whose canvas is longer than needed: far ends must be learnt too
LONGEST = 96


@dataclass(frozen=True)
class Batch:
    """Rows [B, L] of prompt + canvas. ``start`` [B]: the canvas begins; ``end`` [B]: the answer ends.

    ``blanks`` [B, L]: what has to be hidden; None leaves the choice to the objective.
    """

    ids: Tensor
    start: Tensor
    end: Tensor
    blanks: Tensor | None = None


def mix(
    tokenizer: Tokenizer, sizes: dict[str, int], files: dict[str, Path], seed: int, *, causal: bool
) -> Iterator[list[Batch]]:
    """Endless optimiser steps: one batch of each task with ``sizes`` rows."""
    sources = {
        "stories": stories.examples("train", seed),
        "sudoku": _without(files["sudoku_test"], sudoku.examples("train", seed)),
        "snips": _shuffled(list(snips.read(files["snips_train"])), seed),
    }
    streams = {
        task: _batches(tokenizer, source, sizes[task], random.Random(f"{task}/{seed}"))
        for task, source in sources.items()
    }
    streams["sums"] = _drills(tokenizer, sizes["sums"], seed, causal=causal)
    return (list(step) for step in zip(*(streams[task] for task in sizes), strict=True))


def _drills(tokenizer: Tokenizer, rows: int, seed: int, *, causal: bool) -> Iterator[Batch]:
    for ids, blanks in sums.rows(tokenizer, rows, seed, causal=causal):
        nowhere = torch.zeros(rows, dtype=torch.long)
        yield Batch(ids, nowhere, nowhere, blanks)


def _without(test_file: Path, source: Iterator[Example]) -> Iterator[Example]:
    """``source`` minus every puzzle of the public test file."""
    text = test_file.read_text()
    return (ex for ex in source if ex.prompt.rsplit(": ")[1].replace(" ", "") not in text)


def _shuffled(examples: list[Example], seed: int) -> Iterator[Example]:
    draw = random.Random(f"order/{seed}")
    while True:
        yield from draw.sample(examples, len(examples))


def _batches(
    tokenizer: Tokenizer, source: Iterable[Example], rows: int, draw: random.Random
) -> Iterator[Batch]:
    source = iter(source)
    while True:
        pairs = [encode(tokenizer, ex) for ex in itertools.islice(source, rows * POOL)]
        pairs.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        starts = list(range(0, len(pairs), rows))
        draw.shuffle(starts)
        for first in starts:
            longer = draw.randrange(LONGEST // 2) if draw.random() < LONG_SHARE else 0
            yield collate(pairs[first : first + rows], tokenizer.token_to_id("<|end|>"), longer)


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Prompt ids in the model's template, and answer ids with one end token."""
    prompt = tokenizer.encode(f"<|user|>{example.prompt}<|answer|>").ids
    return prompt, tokenizer.encode(f"{example.answer}<|end|>").ids


def collate(pairs: list[tuple[list[int], list[int]]], end_id: int, longer: int) -> Batch:
    """Rows padded on the right with end tokens, which are part of the canvas."""
    length = max(len(prompt) + len(answer) for prompt, answer in pairs) + longer
    rows = [[*prompt, *answer] for prompt, answer in pairs]
    ids = torch.tensor([row + [end_id] * (length - len(row)) for row in rows])
    start = torch.tensor([len(prompt) for prompt, _ in pairs])
    return Batch(ids, start, torch.tensor([len(row) for row in rows]))
