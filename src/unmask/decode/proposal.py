"""Logits -> what the model proposes at every asked position: token, confidence, entropy, margin.

Confidence, entropy and margin always describe the model's own distribution, without temperature,
noise or filters: they say how sure the model is, whatever the sampling settings. Shape legend:
B rows, A asked positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from unmask.decode.settings import Option, Settings
from unmask.errors import InputError
from unmask.transfer import send

TEMPERATURE = Option("temperature", float, 0.0, "0 is greedy", high=100)
TOP_P: Option[float | None] = Option(
    "top_p", float, None, "nucleus: the share of the likeliest tokens", high=1, above=True
)
TOP_K: Option[int | None] = Option("top_k", int, None, "most likely tokens to draw from", low=1)
SEED: Option[int | None] = Option(
    "seed", int, None, "makes what is drawn repeatable", high=2**64 - 1
)
SAMPLING: tuple[Option[Any], ...] = (TEMPERATURE, TOP_P, TOP_K, SEED)
NEVER = -1e30
"""Instead of -inf, for 0 * -inf is not 0."""
AT_ONCE = 2**24
"""Logits that are scored at once; a copy of them in fp32 takes 64 MB."""


@dataclass(frozen=True)
class Sampling:
    """``temperature`` 0 is greedy; ``top_p`` and ``top_k`` None are off."""

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None


def build(settings: Settings) -> Sampling:
    """From ``temperature``, ``top_p`` and ``top_k``.

    Raises:
        InputError: one of the last two cannot change anything.
    """
    temperature, top_p, top_k = settings[TEMPERATURE], settings[TOP_P], settings[TOP_K]
    for option, value in ((TOP_P, top_p), (TOP_K, top_k)):
        if value not in (None, 1.0) and temperature == 0:
            raise InputError(
                f"{option.name}={value!r} has no meaning at temperature=0 (greedy)",
                field=option.name,
                given=value,
                hint=f"give a temperature above 0 or drop {option.name}",
            )
    return Sampling(temperature, top_p, top_k)


def argmax(logits: Tensor) -> Tensor:
    """The best token of every row of logits [..., A, V]; the lowest id wins a tie, and NaN all.

    On a CPU by NumPy, for 24 rows of 2,048 logits ten times as fast as PyTorch.
    """
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        return torch.from_numpy(logits.numpy().argmax(-1))
    return logits.argmax(-1)


class _Shares:
    """Of logits [..., V] the best token, and in fp32 what follows from the shares of the others.

    All of it is relative to the best token's share: the sum that a soft-max divides by is not exact
    for large vocabularies, and cancels. ``drawn``: tokens [...] whose share is asked for as well.
    """

    def __init__(self, logits: Tensor, drawn: Tensor | None) -> None:
        self.logits, self.token = logits, argmax(logits)
        self.drawn, where = drawn, self.token[..., None]
        shares = logits.softmax(-1, torch.float32)
        self.best = shares.gather(-1, where)[..., 0]
        self.others = shares.scatter_(-1, where, 0)

    def rest(self) -> Tensor:
        """All others' shares together."""
        return self.others.sum(-1) / self.best

    def second(self) -> Tensor:
        """The greatest of the others' shares."""
        return self.others.amax(-1) / self.best

    def fall(self) -> Tensor:
        """How far the others' logits are below the best, times their shares; at most 0."""
        below = self.logits.float() - self.logits.gather(-1, self.token[..., None])
        return (below.clamp_(min=NEVER) * self.others).sum(-1) / self.best

    def own(self) -> tuple[Tensor, ...]:
        """The share of the drawn token, if one was drawn."""
        if self.drawn is None:
            return ()
        share = self.others.gather(-1, self.drawn[..., None])[..., 0] / self.best
        return (share.masked_fill(self.drawn == self.token, 1),)


class Proposal:
    """Token and confidence [B, A]; entropy (nats) and margin are computed when first asked for.

    Sure models differ behind the eighth digit, and bars and orders have to see that. What tells
    them apart is the sum of the shares of all tokens but the best. Kept apart from the best one's,
    it has seven digits in float32; only numbers per position need float64 (float32 on devices that
    know no other). Many logits are scored part by part, and never all copied at once.
    """

    def __init__(self, logits_BAV: Tensor, token_BA: Tensor | None = None) -> None:
        self.logits_BAV, self._drawn = logits_BAV, token_BA
        small = logits_BAV.numel() <= AT_ONCE
        self._whole = _Shares(logits_BAV, token_BA) if small else None
        self._exact = torch.float32 if logits_BAV.device.type == "mps" else torch.float64
        best_BA, rest_BA, *own = self._scored(lambda of: (of.token, of.rest(), *of.own()))
        self._rest = rest_BA.to(self._exact)
        self.confidence_BA = self._best = (1 + self._rest).reciprocal()
        self.token_BA = best_BA
        if token_BA is not None:
            self.token_BA, self.confidence_BA = token_BA, self._best * own[0]

    def _scored(self, read: Callable[[_Shares], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What ``read`` finds in the shares of all positions, each [B, A]."""
        if self._whole is not None:
            return read(self._whole)
        positions, vocabulary = self.logits_BAV.shape[:-1], self.logits_BAV.shape[-1]
        count = max(1, AT_ONCE // vocabulary)
        parts = torch.split(self.logits_BAV.flatten(0, 1), count)
        drawn = repeat(None) if self._drawn is None else torch.split(self._drawn.flatten(), count)
        found = [read(_Shares(part, own)) for part, own in zip(parts, drawn, strict=False)]
        return tuple(torch.cat(kind).view(positions) for kind in zip(*found, strict=True))

    @cached_property
    def entropy_BA(self) -> Tensor:
        """-sum q ln q in nats: with ln q = l - ln Z, of logits l below the best, two terms >= 0."""
        (fall,) = self._scored(lambda of: (of.fall(),))
        return self._rest.log1p() - fall * self._best

    @cached_property
    def margin_BA(self) -> Tensor:
        """Probability of the best token minus that of the second."""
        (second,) = self._scored(lambda of: (of.second(),))
        return (1 - second.to(self._exact)) * self._best

    def rows(self, index: Tensor) -> Proposal:
        """The proposal of some rows only."""
        return Proposal(self.logits_BAV[index], self.token_BA[index])


def propose(
    logits_BAV: Tensor,
    mask_id: int,
    sampling: Sequence[Sampling],
    generators: Sequence[torch.Generator | None],
    asked: Sequence[int],
) -> Proposal:
    """What the model would write. The mask id itself is forbidden, in ``logits`` as well.

    ``generators`` holds one generator for every row that samples, and ``asked`` its number of asked
    positions: a row draws for these only, so its text does not depend on the rows beside it.
    """
    logits_BAV.select(-1, mask_id).fill_(-torch.inf)
    if all(choice.temperature == 0 for choice in sampling):
        return Proposal(logits_BAV)
    token_BA = argmax(logits_BAV)
    for row, (choice, generator, count) in enumerate(zip(sampling, generators, asked, strict=True)):
        if choice.temperature > 0:
            assert generator is not None
            token_BA[row, :count] = draw(logits_BAV[row, :count], choice, generator)
    return Proposal(logits_BAV, token_BA)


def draw(logits_AV: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """One token per position from softmax(logits / temperature), by the Gumbel-max trick.

    Noise is added to the logits, never multiplied to exp(logits): no logit is too large for it.
    """
    logits_AV = logits_AV.float()
    below_AV = logits_AV - logits_AV.amax(-1, keepdim=True)  # at most 0: no temperature overflows
    logits_AV = filtered(below_AV / sampling.temperature, sampling)
    uniform = torch.rand(
        logits_AV.shape, generator=generator, device=generator.device, dtype=torch.float64
    )
    noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
    return argmax(logits_AV + send(noise, logits_AV.device))


def filtered(logits_AV: Tensor, sampling: Sampling) -> Tensor:
    """Logits with everything outside top-p and top-k set to -inf.

    Top-p keeps the token that crosses p; top-k keeps all tokens that tie with the k-th.
    """
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, index = logits_AV.sort(dim=-1, descending=True, stable=True)
        q = ordered.softmax(-1)
        drop = q.cumsum(-1) - q > sampling.top_p
        drop = torch.zeros_like(drop).scatter(-1, index, drop)
        logits_AV = logits_AV.masked_fill(drop, -torch.inf)
    if sampling.top_k is not None and sampling.top_k < logits_AV.shape[-1]:
        least = logits_AV.topk(sampling.top_k, dim=-1).values[..., -1:]
        logits_AV = logits_AV.masked_fill(logits_AV < least, -torch.inf)
    return logits_AV
