"""How likely is a continuation after its context?

A causal model says so exactly, by the chain rule. A masked model has a lower bound, the mean over
all orders of writing of the log-probability to write the text in that order, token by token:

    log p(x) >= mean over l = 1 .. L of E[ L / l * sum over i in S of log p(x_i | x outside S) ]

with S uniform among the sets of l tokens out of L. Published evaluators also put it otherwise: mask
every token with probability t, t uniform in (0, 1), and weigh the sum by 1 / t. That is the same
number. Given t, a certain number l is masked with probability C(L, l) t^l (1-t)^(L-l), whose
integral over t is 1 / (L + 1) for every l from 0 on, and the mean of 1 / t given l is (L + 1) / l
(a quotient of two beta integrals). So size l counts 1 / (L + 1) * (L + 1) / l = 1 / l, as above,
and l = 0 nothing. Here l is not drawn, which has less variance. LLaDA (Nie et al. 2025) is
evaluated with l, Dream with t; all masked families are scored by the first form.

As in decoding (`decode/proposal.py`), the mask token is forbidden and the others share its
probability. A causal model is scored as it stands, so that its figures are anybody's.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from unmask.decode.settings import whole_number
from unmask.errors import InputError
from unmask.evaluate.maskings import Stratum, estimate, strata
from unmask.evaluate.scores import Row, scores
from unmask.models.denoiser import ModelCard
from unmask.models.loading import Model, check_ids

Pair = tuple[Sequence[int], Sequence[int]]
"""Ids of a context and of its continuation."""
GROUP = 8
"""Batches of texts that are finished before others begin, so that there is progress to hear of."""


@dataclass(frozen=True)
class Effort:
    """``samples``: masked texts per pair, at most; ``batch_size``: rows that share a forward;
    ``greedy``: whether to find out what greedy decoding would write."""

    samples: int = 128
    seed: int = 0
    batch_size: int = 16
    greedy: bool = True


@dataclass(frozen=True)
class Likelihood:
    """``value``: log-likelihood in nats, or the estimate of its bound. ``error``: standard error of
    the estimate, 0 where it is exact and NaN where a single sample tells nothing. ``samples``:
    texts that were scored. ``greedy``: whether greedy decoding writes the continuation; None if
    nobody asked. ``left_out``: ids of the context cut off at the left, for the model takes no more.
    """

    value: float
    error: float
    samples: int
    greedy: bool | None
    left_out: int


class _Text(NamedTuple):
    """A fitting pair: all ids, and where the continuation starts."""

    ids: list[int]
    start: int
    left_out: int

    @property
    def length(self) -> int:
        return len(self.ids) - self.start


def log_likelihoods(
    model: Model,
    pairs: Sequence[Pair],
    effort: Effort | None = None,
    note: Callable[[int], None] | None = None,
) -> list[Likelihood]:
    """The log-likelihood of every continuation after its context.

    A masked model's noise is keyed by seed, context and length of the continuation: results depend
    neither on order nor on batch, and choices of one length are compared under the same masks.
    Short continuations are exact (`unmask.evaluate.maskings`): one token takes one forward, three
    take seven.

    A context that is too long loses its left end; an empty continuation is certain. ``note`` hears
    how many pairs have been finished.

    Raises:
        InputError: a continuation alone is too long, a shifted model got no context, or the model
            is block-causal.
        DecodeError: the model returned NaN.
    """
    effort = effort or Effort()
    _check(model.card, effort)
    texts = [_fit(model.card, *pair) for pair in pairs]
    certain = True if effort.greedy else None
    found = [Likelihood(0.0, 0.0, 0, certain, text.left_out) for text in texts]
    # Longest first: rows of a forward are of similar length, and memory runs out at once or never.
    order = sorted(
        (i for i in range(len(texts)) if texts[i].length), key=lambda i: -len(texts[i].ids)
    )
    scored = _chain_rule if model.card.causal else _bound
    group = GROUP * effort.batch_size
    for part in (order[start : start + group] for start in range(0, len(order), group)):
        for at, likelihood in scored(model, [texts[at] for at in part], effort):
            found[part[at]] = likelihood
            if note:
                note(1)
    if note:
        note(len(texts) - len(order))
    return found


def _check(card: ModelCard, effort: Effort) -> None:
    whole_number("samples", effort.samples, 1, "a whole number of at least 1")
    whole_number("batch_size", effort.batch_size, 1, "a whole number of at least 1")
    if card.span is not None and not card.causal:
        # Its bound needs every block masked behind clean text: rows that are not made here.
        raise InputError(f"{card.name} is block-causal; likelihoods of such models cannot be had")


def _fit(card: ModelCard, context: Sequence[int], continuation: Sequence[int]) -> _Text:
    """The end of the text that the model takes; the last token of a causal one is not fed."""
    room = card.max_length + int(card.causal)
    least = card.logit_shift
    if least > len(context) and len(continuation):
        raise InputError(
            f"an empty context is not allowed for {card.name}, which says nothing about the first "
            "token of a text; give at least one id, say that of the end token"
        )
    if len(continuation) > room - least:
        raise InputError(
            f"a continuation of {len(continuation)} tokens is too long: {card.name} takes "
            f"{room - least}; cut it into parts (rolling log-likelihood does)"
        )
    left_out = max(0, len(context) + len(continuation) - room)
    ids = [*context[left_out:], *continuation]
    for part in (ids[: card.max_length], ids[card.max_length :]):
        if part:
            check_ids(part, card)
    return _Text([int(token) for token in ids], len(context) - left_out, left_out)


def _chain_rule(
    model: Model, texts: Sequence[_Text], effort: Effort
) -> Iterator[tuple[int, Likelihood]]:
    """One row per text, which asks about every token of the continuation."""

    def rows() -> Iterator[Row]:
        for text in texts:
            ask = list(range(text.start, len(text.ids)))
            yield Row(text.ids[:-1], ask, text.ids[text.start :])

    for at, score in enumerate(scores(model, rows(), effort.batch_size)):
        greedy = bool(score.hit.all()) if effort.greedy else None
        yield at, Likelihood(math.fsum(score.answer), 0.0, 1, greedy, texts[at].left_out)


def _bound(
    model: Model, texts: Sequence[_Text], effort: Effort
) -> Iterator[tuple[int, Likelihood]]:
    """The estimate of the module's docstring for every text."""
    mask_id = model.card.mask_id
    greedy = _writes(model, texts, effort.batch_size) if effort.greedy else {}
    rows = (
        _masked(text, masked, mask_id)
        for text in texts
        for stratum in _strata(text, effort)
        for masked in stratum.sets
    )
    answers = scores(model, rows, effort.batch_size)
    for at, text in enumerate(texts):
        drawn = _strata(text, effort)  # once more: cheaper than keeping those of all texts
        count = sum(len(stratum.sets) for stratum in drawn)
        found = [
            float(score.answer.mean()) * text.length for score in itertools.islice(answers, count)
        ]
        # Nobody writes a mask: a continuation that holds one is impossible, and that is certain.
        value, error = (-math.inf, 0.0) if -math.inf in found else estimate(drawn, found)
        yield at, Likelihood(value, error, count, greedy.get(at), text.left_out)


def _strata(text: _Text, effort: Effort) -> list[Stratum]:
    """The same for every choice of one length after one context."""
    ids = np.array([effort.seed, text.length, *text.ids[: text.start]], dtype="<i8")
    key = hashlib.blake2b(ids.tobytes(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key, "little"))
    return strata(text.length, effort.samples, generator)


def _masked(text: _Text, masked: Sequence[int], mask_id: int) -> Row:
    fed = list(text.ids)
    ask = [text.start + offset for offset in masked]
    for place in ask:
        fed[place] = mask_id
    return Row(fed, ask, [text.ids[place] for place in ask])


def _writes(model: Model, texts: Sequence[_Text], batch_size: int) -> dict[int, bool]:
    """Whether one token per forward, the most confident first, writes the continuation.

    That is `vanilla` decoding without blocks. Taking the best tokens of a single forward instead
    would call texts greedy that no decoder writes.
    """
    left = {at: list(range(text.length)) for at, text in enumerate(texts)}
    found: dict[int, bool] = {}
    while left:
        going = list(left)
        rows = (_masked(texts[at], left[at], model.card.mask_id) for at in going)
        for at, score in zip(going, scores(model, rows, batch_size), strict=True):
            first = int(score.best.argmax())
            del left[at][first]
            if not score.hit[first] or not left[at]:
                found[at] = bool(score.hit[first])
                del left[at]
    return found
