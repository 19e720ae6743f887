"""The clean texts that a student learns from, out of a harvest.

Shape legend: L positions of prompt and canvas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unmask.distill.shards import Manifest, Sample, samples_of
from unmask.errors import InputError
from unmask.models.denoiser import ModelCard

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Text:
    """A prompt and its answer. ``end``: where the text ends, its end token included; what follows
    is padding. ``order_L``: when every position was decoded; the smaller the earlier."""

    index: int
    ids_L: NDArray[np.int64]
    prompt_length: int
    end: int
    order_L: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids_L)


@dataclass
class Sorting:
    """What became of the samples of a harvest, for people."""

    kept: int = 0
    wrong: int = 0
    long: int = 0
    endless: int = 0


APART = 1_000_000
"""Added to the indices of every further harvest, so that each text keeps its own."""


def load(
    harvests: Sequence[Manifest], card: ModelCard, max_length: int, *, keep_wrong: bool
) -> tuple[list[Text], Sorting]:
    """The usable texts of harvests: right (or unchecked), short enough, and with an end.

    Raises:
        InputError: a shard is damaged, an id is not of this model, or nothing is left.
    """
    texts, sorting = [], Sorting()
    longest = min(max_length, card.max_length)
    for sample in _samples(harvests, card):
        text = cut(text_of(sample, card), longest)
        if sample.correct == 0 and not keep_wrong:
            sorting.wrong += 1
        elif text.end == text.prompt_length:
            sorting.endless += 1
        elif text.end > longest:
            sorting.long += 1
        else:
            sorting.kept += 1
            texts.append(text)
    if not texts:
        raise InputError(
            f"{harvests[0].folder} has no usable sample: {sorting.wrong} are wrong, "
            f"{sorting.long} longer than {longest} positions, {sorting.endless} without an end; "
            "harvest more or raise max_length"
        )
    return texts, sorting


def _samples(harvests: Sequence[Manifest], card: ModelCard) -> Iterator[Sample]:
    for number, harvest in enumerate(harvests):
        for sample in samples_of(harvest):
            check_vocabulary(sample, card, harvest.folder)
            yield replace(sample, index=sample.index + number * APART)


def check_vocabulary(sample: Sample, card: ModelCard, folder: Path) -> None:
    """Nothing if the student knows every id.

    Raises:
        InputError: it does not.
    """
    largest = int(sample.tokens_L.max(initial=0))
    if largest >= card.vocabulary:
        raise InputError(
            f"{folder}: sample {sample.index} has token id {largest}, {card.name} knows 0 to "
            f"{card.vocabulary - 1}; the teacher has another vocabulary, harvest with one that fits"
        )


def check_teacher(harvests: Sequence[Manifest], card: ModelCard, vocabulary: str | None) -> None:
    """Nothing if the teachers of all harvests have the student's ``vocabulary`` (a digest; None,
    as in harvests without a tokenizer: nobody knows).

    Raises:
        InputError: one has another.
    """
    for harvest in harvests:
        theirs = harvest.settings.get("vocabulary")
        if theirs is not None and vocabulary is not None and theirs != vocabulary:
            raise InputError(
                f"{harvest.folder} was harvested with {harvest.settings.get('model')}, whose token "
                f"ids mean other text than those of {card.name}; harvest with a teacher of the "
                "same vocabulary"
            )


def cut(text: Text, longest: int) -> Text:
    """The text with no more than ``longest`` positions, if it is padding that goes."""
    if text.end > longest:
        return text
    return replace(text, ids_L=text.ids_L[:longest], order_L=text.order_L[:longest])


def text_of(sample: Sample, card: ModelCard) -> Text:
    """A sample with nothing but padding behind its end token."""
    ids = sample.tokens_L.astype(np.int64)
    ends = np.flatnonzero(np.isin(ids[sample.prompt_length :], card.end_ids))
    end = sample.prompt_length + int(ends[0]) + 1 if len(ends) else sample.prompt_length
    if len(ends):
        ids[end:] = card.pad_id
    return Text(sample.index, ids, sample.prompt_length, end, sample.born_L.astype(np.int64))
