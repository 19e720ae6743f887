"""Batches of the tasks: prompt ids, a canvas of answer ids, end tokens up to the batch's end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

import sums
from unmask.evaluate.task import Example
from unmask.evaluate.tasks import snips, stories, sudoku

POOL = 8  # batches drawn at once and sorted by length, so that little is padding
LONG_SHARE = 0.15  # batches whose canvas is longer than needed: far ends must be learnt too
LONGEST = 96


@dataclass(frozen=True)
class Batch:
    """Rows [B, L] of prompt + canvas. ``start`` [B]: the canvas begins; ``end`` [B]: answer ends.

    ``numbers`` [B, L]: which ids are numbers.
    ``hidden`` and ``targets`` [B, L]: what is masked and asked; None leaves it to the objective.
    """

    ids: Tensor
    start: Tensor
    end: Tensor
    numbers: Tensor
    hidden: Tensor | None = None
    targets: Tensor | None = None


def mix(
    tokenizer: Tokenizer, sizes: dict[str, int], files: dict[str, Path], seed: int, *, causal: bool
) -> Iterator[list[Batch]]:
    """Endless optimiser steps: one batch of each task with ``sizes`` rows."""
    streams: dict[str, Callable[[int], Iterator[Batch]]] = {
        "stories": lambda rows: _batches(tokenizer, stories.examples("train", seed), rows, seed),
        "sudoku": lambda rows: _batches(
            tokenizer, _without(files["sudoku_test"], sudoku.examples("train", seed)), rows, seed
        ),
        "snips": lambda rows: _batches(
            tokenizer, _shuffled(list(snips.read(files["snips_train"])), seed), rows, seed
        ),
        "sums": lambda rows: _drills(sums.filled(tokenizer, rows, seed, causal=causal)),
        "open sums": lambda rows: _drills(sums.opened(tokenizer, rows, seed)),
    }
    return (list(step) for step in zip(*(streams[t](n) for t, n in sizes.items()), strict=True))


def _drills(source: Iterator[tuple[Tensor, Tensor, Tensor]]) -> Iterator[Batch]:
    for ids, hidden, targets in source:
        nowhere = torch.zeros(len(ids), dtype=torch.long)
        yield Batch(ids, nowhere, nowhere, targets, hidden, targets)


def _without(test_file: Path, source: Iterator[Example]) -> Iterator[Example]:
    """``source`` minus every puzzle of the public test file."""
    text = test_file.read_text()
    return (ex for ex in source if ex.prompt.rsplit(": ")[1].replace(" ", "") not in text)


def _shuffled(examples: list[Example], seed: int) -> Iterator[Example]:
    draw = random.Random(f"order/{seed}")
    while True:
        yield from draw.sample(examples, len(examples))


def _batches(
    tokenizer: Tokenizer, source: Iterator[Example], rows: int, seed: int
) -> Iterator[Batch]:
    draw = random.Random(f"batches/{seed}")
    while True:
        pairs = [encode(tokenizer, ex) for ex in itertools.islice(source, rows * POOL)]
        pairs.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        starts = list(range(0, len(pairs), rows))
        draw.shuffle(starts)
        for first in starts:
            longer = draw.randrange(LONGEST // 2) if draw.random() < LONG_SHARE else 0
            yield collate(pairs[first : first + rows], tokenizer, longer)


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Prompt ids in the model's template, and answer ids with one end token."""
    prompt = tokenizer.encode(f"<|user|>{example.prompt}<|answer|>").ids
    return prompt, tokenizer.encode(f"{example.answer}<|end|>").ids


def collate(pairs: list[tuple[list[int], list[int]]], tokenizer: Tokenizer, longer: int) -> Batch:
    """Rows padded on the right with end tokens, which are part of the canvas."""
    length = max(len(prompt) + len(answer) for prompt, answer in pairs) + longer
    [end_id] = tokenizer.encode("<|end|>").ids
    rows = [[*prompt, *answer] for prompt, answer in pairs]
    ids = torch.tensor([row + [end_id] * (length - len(row)) for row in rows])
    start = torch.tensor([len(prompt) for prompt, _ in pairs])
    return Batch(ids, start, torch.tensor([len(row) for row in rows]), is_number(tokenizer)[ids])


@cache
def is_number(tokenizer: Tokenizer) -> Tensor:
    """Bool [V]: tokens that are a number."""
    vocabulary = tokenizer.get_vocab()
    table = torch.zeros(len(vocabulary), dtype=torch.bool)
    table[[at for token, at in vocabulary.items() if token.removeprefix("Ġ").isdigit()]] = True
    return table
