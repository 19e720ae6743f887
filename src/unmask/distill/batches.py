"""Texts and their draws -> tensors of a micro-batch.

Shape legend: B rows (views of texts), L positions, T supervised tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from unmask import catalogue
from unmask.distill.curriculum import ratio_floor, width_at
from unmask.distill.draws import Draw, Stage, State
from unmask.distill.recipe import STATES, Recipe
from unmask.distill.texts import Text
from unmask.models.denoiser import ModelCard


@dataclass(frozen=True)
class Noised:
    """A text, its draw, the ratio that was aimed at, and how many positions are fed."""

    text: Text
    draw: Draw
    ratio: float
    seen: int


@dataclass(frozen=True)
class Batch:
    """``keep_BL``: None if no row is padded. ``row_T``, ``column_T``: the logits that speak about
    the supervised tokens, shift included; ``answer_T``: those that are no padding. ``samples``:
    indices of the texts."""

    ids_BL: Tensor
    keep_BL: Tensor | None
    row_T: Tensor
    column_T: Tensor
    target_T: Tensor
    view_T: Tensor
    weight_T: Tensor
    answer_T: Tensor
    samples: tuple[int, ...]


class Noise:
    """Draws for texts, by (seed, epoch, sample): nothing else decides them."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed
        module = catalogue.find(STATES, recipe.state, "state")
        self.state: State = module.make(recipe.compat is not None)

    def __call__(self, text: Text, epoch: int, progress: float) -> Noised:
        """The draw of one text at ``progress`` of the run."""
        recipe = self.recipe
        draw = np.random.default_rng([self.seed, epoch, text.index])
        low, last, high = recipe.ratio
        ratio = float(draw.uniform(ratio_floor(low, last, progress), high))
        width = width_at(recipe.widths, progress * recipe.epochs)
        drawn = self.state(text, Stage(ratio, width, recipe.depth, recipe.filler), draw)
        seen = len(text)
        if recipe.horizon is not None:
            asked = np.flatnonzero(drawn.hidden_L | drawn.rest_L)
            seen = min(seen, int(asked[-1]) + 1 + recipe.horizon * width)
        return Noised(text, drawn, ratio, seen)


def weight_of(noised: Noised, recipe: Recipe) -> float:
    """Weight of every supervised token of a text."""
    return 1.0 / max(noised.ratio, 1e-3) if recipe.weighting == "inverse" else 1.0


def asked_of(noised: Noised, recipe: Recipe) -> int:
    """Supervised tokens of a text, both views."""
    rest = noised.draw.rest_L.sum() if recipe.complement else 0
    return int(noised.draw.hidden_L.sum() + rest)


def epoch_order(texts: Sequence[Text], seed: int, epoch: int) -> list[Text]:
    """The texts in the order of this epoch."""
    draw = np.random.default_rng([seed, epoch])
    return [texts[number] for number in draw.permutation(len(texts))]


def portions(
    noised: Sequence[Noised], processes: int, micro: int, *, bucketed: bool = True
) -> list[list[list[Noised]]]:
    """A global batch as micro-batches: for every turn, the texts of each process.

    Texts of a turn are of similar length, so little is padded and no process waits for another.
    The batch stays what it was, only its sum is taken in another order (not ``bucketed``: in the
    given one). All processes have as many turns, for a model that is cut needs all of them at
    every forward; where there are too few texts, some get one that asks for nothing.
    """
    texts = sorted(noised, key=lambda one: one.seen) if bucketed else list(noised)
    turns = -(-len(texts) // (processes * micro))
    cuts = [len(texts) * turn // turns for turn in range(turns + 1)]
    parts = [texts[start:stop] for start, stop in pairwise(cuts)]
    return [[part[place::processes] or [idle(part[0])] for place in range(processes)]
            for part in parts]  # fmt: skip


def idle(noised: Noised) -> Noised:
    """A text that asks for nothing."""
    nothing = np.zeros(len(noised.text), bool)
    return replace(noised, draw=Draw(nothing, nothing, noised.draw.blank_L))


def collate(
    noised: Sequence[Noised], recipe: Recipe, card: ModelCard, device: torch.device
) -> Batch:
    """One row for every view that asks for anything; an empty one if none does, so that every
    process has a forward and a backward."""
    views = [(one, number) for one in noised for number in range(1 + recipe.complement)]
    rows = [(one, number) for one, number in views if _asked(one, number).any()] or views[:1]
    length = max(one.seen for one, _ in rows)
    ids = np.full((len(rows), length), card.pad_id, np.int64)
    keep = np.zeros((len(rows), length), bool)
    spots: list[tuple[int, np.ndarray, Noised, int]] = []
    for row, (one, number) in enumerate(rows):
        asked = _asked(one, number)
        size, hidden = one.seen, asked | one.draw.blank_L
        ids[row, :size] = np.where(hidden, card.mask_id, one.text.ids_L)[:size]
        keep[row, :size] = True
        spots.append((row, np.flatnonzero(asked), one, number))

    def flat(parts: Iterator[np.ndarray], kind: torch.dtype = torch.int64) -> Tensor:
        return torch.from_numpy(np.concatenate(list(parts))).to(device, kind)

    return Batch(
        torch.from_numpy(ids).to(device),
        None if keep.all() else torch.from_numpy(keep).to(device),
        flat(np.full(len(at), row) for row, at, _, _ in spots),
        flat(at - card.logit_shift for _, at, _, _ in spots),
        flat(one.text.ids_L[at] for _, at, one, _ in spots),
        flat(np.full(len(at), number) for _, at, _, number in spots),
        flat((np.full(len(at), weight_of(one, recipe)) for _, at, one, _ in spots), torch.float32),
        flat((at < one.text.end for _, at, one, _ in spots), torch.bool),
        tuple(dict.fromkeys(one.text.index for one, _ in rows)),
    )


def _asked(one: Noised, view: int) -> np.ndarray:
    return one.draw.rest_L if view else one.draw.hidden_L
