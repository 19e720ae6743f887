"""The published decoding loops, plainly re-stated around transformers' Llama: the yardstick.

One text at a time. A forward computes logits of all that it feeds, their soft-max in double
precision, and the host reads candidate after candidate until one is refused. Keys and values are
put together anew for every layer and forward (``prefix``), or written into those of the last
refresh (``dual``). So did the code that was published with Fast-dLLM, dParallel and d3LLM; what is
re-stated is what costs time, not the defects. They have no early stop, but for d3LLM's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from twin import PAST, Theirs
from unmask.decode.stopping import end_of


@dataclass(frozen=True)
class Rule:
    """Which tokens are sure: those of the highest ``score`` down to ``bar``, one at least."""

    score: Callable[[Tensor], Tensor]
    bar: float


def confidence(p_QV: Tensor) -> Tensor:
    """Of the best token (Fast-dLLM)."""
    return p_QV.amax(-1)


def certainty(p_QV: Tensor) -> Tensor:
    """Entropy, negated (dParallel, d3LLM)."""
    return (p_QV * (p_QV + 1e-10).log()).sum(-1)


class Replaced(DynamicCache):
    """Keys and values of a whole canvas; those of the next forward replace the part from ``start``
    to ``stop``."""

    def __init__(self, whole: DynamicCache, start: int, stop: int) -> None:
        super().__init__()
        self.layers = whole.layers
        self.place = slice(start, stop)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All keys and values of a layer."""
        stored: Any = self.layers[layer_idx]
        stored.keys[:, :, self.place] = key_states
        stored.values[:, :, self.place] = value_states
        return stored.keys, stored.values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Of those that the forward does not feed."""
        return super().get_seq_length(layer_idx) - (self.place.stop - self.place.start)


class Beside(DynamicCache):
    """Keys and values of the first positions, put together with those of a forward, every time."""

    def __init__(self, whole: DynamicCache, stop: int) -> None:
        super().__init__()
        layers: Any = whole.layers
        self.left: list[tuple[Tensor, Tensor]]
        self.left = [(one.keys[:, :, :stop], one.values[:, :, :stop]) for one in layers]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All keys and values of a layer."""
        left = self.left[layer_idx]
        return torch.cat([left[0], key_states], 2), torch.cat([left[1], value_states], 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Of those that the forward does not feed."""
        return self.left[layer_idx][0].shape[2]


class Text:
    """The ids [L] of one text, and the model that fills them."""

    def __init__(self, model: Theirs, prompt: list[int], length: int) -> None:
        self.model, self.first = model, len(prompt)
        self.mask, self.shift = model.card.mask_id, model.card.logit_shift
        self.ids = torch.tensor(prompt + [self.mask] * length)
        self.forwards = 0

    def logits(self, start: int, stop: int, past: DynamicCache | None) -> Tensor:
        """A forward of some positions; what it says about those from ``start``, or behind it by
        one if the model is shifted, in double precision [Q, V]."""
        self.forwards += 1
        logits: Tensor = self.model.theirs(
            input_ids=self.ids[None, start:stop],
            position_ids=torch.arange(start, stop)[None],
            use_cache=past is not None,
            **{PAST: past},
        ).logits[0]
        if start == 0 and self.shift:
            logits = torch.cat([logits[:1], logits[:-1]])
        logits[:, self.mask] = -torch.inf
        return logits.double()

    def write(self, logits: Tensor, offset: int, spans: list[tuple[int, int]], rule: Rule) -> None:
        """What is sure in ``spans``, and the surest of the first. ``offset``: of the logits."""
        token, score = logits.argmax(-1), rule.score(logits.softmax(-1))
        for number, (start, stop) in enumerate(spans):
            masked = (self.ids[start:stop] == self.mask).nonzero()[:, 0] + start
            order = masked[score[masked - offset].argsort(descending=True, stable=True)]
            for rank, at in enumerate(order.tolist()):
                forced = number == 0 and rank == 0
                if not forced and score[at - offset].item() < rule.bar:
                    break
                self.ids[at] = token[at - offset]

    def masks(self, start: int, stop: int) -> int:
        """How many are left."""
        return int((self.ids[start:stop] == self.mask).sum().item())

    def answer(self) -> list[int]:
        """Ids behind the prompt."""
        return self.ids[self.first :].tolist()


@dataclass(frozen=True)
class Answer:
    """Ids behind the prompt, and model calls."""

    token_ids: list[int]
    forwards: int


@torch.inference_mode()
def blockwise(
    model: Theirs, prompt: list[int], length: int, block: int, rule: Rule, cache: str = "none"
) -> Answer:
    """Blocks from left to right (Fast-dLLM; dParallel); ``cache``: none, prefix or dual."""
    text = Text(model, prompt, length)
    total = text.first + length
    for start in range(text.first, total, block):
        stop = min(start + block, total)
        whole = None if cache == "none" else DynamicCache()
        text.write(text.logits(0, total, whole), 0, [(start, stop)], rule)
        while text.masks(start, stop):
            if whole is None:
                text.write(text.logits(0, total, None), 0, [(start, stop)], rule)
                continue
            # Of a shifted model the position before speaks about the first one.
            fed = start - text.shift * text.masks(start, start + 1)
            logits = text.logits(
                fed, stop if cache == "dual" else total, _past(whole, cache, fed, stop)
            )
            text.write(logits, fed + text.shift, [(start, stop)], rule)
    return Answer(text.answer(), text.forwards)


def _past(whole: DynamicCache, cache: str, start: int, stop: int) -> DynamicCache:
    """What a forward from ``start`` on looks back at."""
    if cache == "dual":
        return Replaced(whole, start, stop)
    return Beside(whole, start)


@torch.inference_mode()
def several_blocks(
    model: Theirs, prompt: list[int], length: int, block: int, rule: Rule, share: float
) -> Answer:
    """Blocks enter when the one before has written its ``share`` (d3LLM, without its cache).

    Text behind an end token gives way to padding at once.
    """
    text = Text(model, prompt, length)
    total = text.first + length
    while text.masks(text.first, total):
        spans = list(_active(text, total, block, share))
        text.write(text.logits(0, total, None), 0, spans, rule)
        end = text.first + end_of(text.answer(), model.card.end_ids)
        text.ids[end + 1 :] = model.card.pad_id
    return Answer(text.answer(), text.forwards)


def _active(text: Text, total: int, block: int, share: float) -> Iterator[tuple[int, int]]:
    """The blocks in flight, from the first unfinished one on."""
    for start in range(text.first, total, block):
        stop = min(start + block, total)
        masks = text.masks(start, stop)
        if masks:
            yield start, stop
            if stop - start - masks < share * (stop - start) - 1e-9:
                return
