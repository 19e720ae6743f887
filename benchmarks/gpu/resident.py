"""A replayed trace, and a loop that leaves the text on the device and reads once in k forwards.

Nobody decides here: how many tokens a forward writes is drawn, around a given mean. Which ones, and
what they say, is the model's. Shape legend: B rows, L canvas positions, Q fed positions, A asked
positions, F forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.decode.proposal import Proposal, Sampling, propose
from unmask.decode.slate import Slate, take
from unmask.models.denoiser import Denoiser
from unmask.models.store import KeyValueStore


@dataclass(frozen=True)
class Trace:
    """A strategy that accepts as many as a published decoder did on the average.

    Between ``mean`` less and more a ``spread`` of it, evenly; the surest of the open positions.
    """

    mean: float
    spread: float = 0.4
    random = True

    def __call__(self, proposal: Proposal, slate: Slate) -> Tensor:
        """Accepted positions, bool [B, A]."""
        assert slate.noise_BA is not None
        return take(self.counts(slate.noise_BA[:, 0]), proposal.confidence_BA, slate)

    def counts(self, uniform: Tensor) -> Tensor:
        """How many to accept, a whole number for every number from 0 to 1."""
        return (self.mean * (1 + self.spread * (2 * uniform - 1)) + 0.5).long()


@dataclass(frozen=True)
class Written:
    """Ids [B, L] on the device; forwards, and how often the host read."""

    ids_BL: Tensor
    forwards: int
    reads: int


class Texts:
    """Texts on the device, each with a window of ``width`` positions that may be written."""

    def __init__(
        self, denoiser: Denoiser, prompts: Sequence[list[int]], length: int, width: int
    ) -> None:
        card, device = denoiser.card, denoiser.device
        totals = [len(prompt) + length for prompt in prompts]
        ids = torch.full((len(prompts), max(totals)), card.mask_id)
        where = torch.arange(max(totals)).expand_as(ids)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
        totals_B1 = torch.tensor(totals)[:, None]
        first_B1 = totals_B1 - length
        self.denoiser, self.width, self.shift = denoiser, width, card.logit_shift
        self.ids_BL, self.totals_B1 = ids.to(device), totals_B1.to(device)
        self.keep_BL = (where < totals_B1).to(device)
        self.open_BL = ((where >= first_B1) & (where < totals_B1)).to(device)
        self.start_B1 = first_B1.to(device)
        self.mask_id, self.device = card.mask_id, device

    def move(self) -> bool:
        """Set every window to the first open position; whether any is left. The one read."""
        left_B1, first_B1 = self.open_BL.int().max(1, keepdim=True)
        first_B1 = torch.minimum(first_B1, self.totals_B1 - self.width)
        self.start_B1 = first_B1.where(left_B1 > 0, self.start_B1)
        return bool(left_B1.any())

    def forward(self, store: KeyValueStore, counts_B: Tensor, *, whole: bool) -> None:
        """Write ``counts`` tokens in every window, after feeding it, or the ``whole`` canvas."""
        rows, length = self.ids_BL.shape
        window = torch.arange(self.width, device=self.device).expand(rows, -1)
        if whole:
            at_BQ = torch.arange(length, device=self.device).expand(rows, -1)
            at_BQ = torch.minimum(at_BQ, self.totals_B1 - 1)
            ask_BA = window + self.start_B1 - self.shift
        else:
            fed = torch.arange(self.width + self.shift, device=self.device).expand(rows, -1)
            at_BQ, ask_BA = fed + self.start_B1 - self.shift, window
        ids_BQ = self.ids_BL.gather(1, at_BQ)
        seen = store.rows(range(rows), length)
        logits_BAV = self.denoiser(ids_BQ, at_BQ, seen, self.keep_BL, ask_BA)
        greedy = [Sampling()] * rows
        proposal = propose(logits_BAV, self.mask_id, greedy, [None] * rows, [self.width] * rows)
        about_BA = window + self.start_B1
        open_BA = self.open_BL.gather(1, about_BA)
        slate = Slate(open_BA.long() - 1, counts_B, counts_B)
        accept_BA = take(counts_B, proposal.confidence_BA, slate)
        before_BA = self.ids_BL.gather(1, about_BA)
        self.ids_BL.scatter_(1, about_BA, proposal.token_BA.where(accept_BA, before_BA))
        self.open_BL.scatter_(1, about_BA, open_BA & ~accept_BA)


@torch.inference_mode()
def decode(
    denoiser: Denoiser,
    prompts: Sequence[list[int]],
    length: int,
    *,
    width: int,
    every: int,
    counts_FB: Tensor,
) -> Written:
    """``length`` tokens behind every prompt, in windows of ``width`` (at most ``length``).

    The first forward feeds everything, the others the window; ``every`` so many forwards the host
    reads whether anything is open, and the windows move. Forwards of a row that is finished by
    then change nothing. ``counts``: tokens to write, of every forward and row; the last one's
    count for those behind it.
    """
    texts = Texts(denoiser, prompts, length, width)
    store = denoiser.new_store(len(prompts), texts.ids_BL.shape[1])
    forwards = reads = 0
    left = True
    while left:
        for _ in range(every):
            counts_B = counts_FB[min(forwards, len(counts_FB) - 1)]
            texts.forward(store, counts_B, whole=forwards == 0)
            forwards += 1
        left = texts.move()
        reads += 1
    return Written(texts.ids_BL, forwards, reads)
