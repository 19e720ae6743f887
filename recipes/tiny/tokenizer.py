"""Trains the byte-level BPE of the built-in models and writes it as tokenizer.json.

Every number from 0 to 99 is one token, with and without a space before it: the corpus repeats them
until their merges are certain, and the script checks it.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from unmask.evaluate.tasks import snips, stories, sudoku

SPECIAL = ("<|end|>", "<|mask|>", "<|user|>", "<|answer|>")
VOCABULARY = 2048


def train(snips_file: Path) -> Tokenizer:
    """A tokenizer for the three tasks that still takes any text, byte by byte if need be."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(snips_file), trainer)
    _check_numbers(tokenizer)
    return tokenizer


def _corpus(snips_file: Path) -> Iterator[str]:
    for example in itertools.islice(stories.examples("train"), 5000):
        yield f"{example.prompt} {example.answer}"
    for example in itertools.islice(sudoku.examples("train"), 500):
        yield f"{example.prompt} {example.answer}"
    for example in snips.read(snips_file):
        yield f"{example.prompt} {example.answer}"
    numbers = range(100)
    for _ in range(3000):
        yield " ".join(map(str, numbers)) + "".join(f"\n{number}" for number in numbers)


def _check_numbers(tokenizer: Tokenizer) -> None:
    for number in range(100):
        for text in (str(number), f" {number}"):
            if len(tokenizer.encode(text).ids) != 1:
                raise SystemExit(f"{text!r} takes more than one token; raise VOCABULARY")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snips", type=Path, required=True, help="snips_train.jsonl[.gz]")
    parser.add_argument("--out", type=Path, required=True, help="tokenizer.json to write")
    arguments = parser.parse_args()
    train(arguments.snips).save(str(arguments.out))
