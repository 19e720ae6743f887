"""One forward for many rows: plan, forward, propose, accept, commit.

The only caller of the denoiser at inference. Rows may be in different blocks, with different
schedules, strategies and caches; a lone prompt is a batch of one. Shape legend: B rows, Q fed
positions, L canvas positions, A asked positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unmask.canvas.canvas import Canvas, Ids
from unmask.canvas.events import Commit
from unmask.decode.lanes import each, groups, lanes
from unmask.decode.plan import FRESH, Memory, Plan, widen
from unmask.decode.policy import Policy
from unmask.decode.proposal import Proposal, propose
from unmask.decode.slate import Slate
from unmask.decode.stopping import stop_early
from unmask.decode.window import Window
from unmask.errors import DecodeError
from unmask.models.denoiser import Denoiser, ModelCard
from unmask.models.store import KeyValueStore
from unmask.transfer import fetch, send


@dataclass
class Row:
    """A canvas on its way. The loop owns it; ``step`` moves it on. ``fed`` counts per forward.

    ``least``: no end token is written among the first so many of the answer.
    """

    index: int
    canvas: Canvas
    policy: Policy
    memory: Memory = FRESH
    generator: torch.Generator | None = None
    fed: list[int] = field(default_factory=list)
    least: int = 0


@dataclass(frozen=True)
class _Turn:
    """A row in this forward. ``slot`` is its place in the store."""

    slot: int
    row: Row
    window: Window
    plan: Plan


def step(
    denoiser: Denoiser,
    store: KeyValueStore | None,
    rows: Sequence[Row],
    slots: Sequence[int] | None = None,
) -> list[Commit]:
    """Move every row on by one forward; row i lives in slot i of the store, or in ``slots[i]``.

    `unmask.decode.lanes` says which rows share a call of the model.

    Raises:
        DecodeError: the model returned NaN.
    """
    places = range(len(rows)) if slots is None else slots
    shift = denoiser.card.logit_shift
    turns = [_turn(slot, row, shift) for slot, row in zip(places, rows, strict=True)]
    lengths, ways = [turn.plan.fed for turn in turns], lanes(denoiser)
    parts = [[turns[at] for at in group] for group in groups(lengths, ways)]
    found = each(lambda part: _advance(denoiser, store, part), parts, ways, sum(lengths))
    return sorted(chain.from_iterable(found), key=lambda commit: commit.row)


def _turn(slot: int, row: Row, shift: int) -> _Turn:
    window = row.policy.schedule(row.canvas)
    plan, row.memory = row.policy.cache.plan(row.canvas, window, row.memory)
    return _Turn(slot, row, window, widen(plan, shift))


@torch.inference_mode()  # a mode of the thread
def _advance(denoiser: Denoiser, store: KeyValueStore | None, turns: list[_Turn]) -> list[Commit]:
    """The same forward for all ``turns``."""
    rows = [turn.row for turn in turns]
    card = denoiser.card
    proposal = propose(
        _without_ends(_forward(denoiser, store, turns), turns, card),
        card.mask_id,
        [row.policy.sampling for row in rows],
        [row.generator for row in rows],
        [len(turn.plan.ask) for turn in turns],
    )
    accept_BA = _accept(proposal, turns)
    # The one read of the host.
    host = fetch(accept_BA, proposal.token_BA, proposal.confidence_BA)
    return [_commit(turn, [part[at] for part in host], card) for at, turn in enumerate(turns)]


def _commit(turn: _Turn, host: list[NDArray[Any]], card: ModelCard) -> Commit:
    row, ask = turn.row, turn.plan.ask
    accept, token, confidence = (part[: len(ask)] for part in host)
    if np.isnan(confidence.max()):
        raise DecodeError(
            f"model {card.name!r} returned NaN logits for prompt {row.index}; its weights are "
            "damaged or overflow in this dtype, try dtype='float32'"
        )
    chosen = accept.nonzero()[0]
    at, tokens, scores = ask[chosen], token[chosen].astype(np.int64), confidence[chosen]
    row.canvas = row.canvas.commit(at, tokens)
    row.fed.append(turn.plan.fed)
    if row.policy.early_stop:
        stopped = stop_early(row.canvas, card, tokens, ahead=row.policy.schedule.ahead)
        if stopped is not row.canvas:
            at, tokens, scores = _padded(row.canvas, stopped, confidence, ask)
            row.canvas = stopped
    return Commit(row.index, row.canvas.step, at, tokens, scores, turn.plan.fed, turn.plan.seen)


def _padded(
    before: Canvas, after: Canvas, confidence: NDArray[Any], ask: NDArray[np.intp]
) -> tuple[NDArray[np.intp], Ids, NDArray[np.float64]]:
    """What a forward wrote and the padding behind the end, which is certain: confidence 1."""
    closed = after.tokens_L != before.tokens_L
    sure = np.ones(len(after))
    sure[ask] = confidence
    sure[closed] = 1.0
    at = np.flatnonzero(closed | (after.born_L == after.step))
    return at, after.tokens_L[at], sure[at]


def _forward(denoiser: Denoiser, store: KeyValueStore | None, turns: list[_Turn]) -> Tensor:
    """Raw logits [B, A, V] about the asked positions; padding columns repeat a real one."""
    shift = denoiser.card.logit_shift
    width = max(turn.plan.fed for turn in turns)
    asked = max(len(turn.plan.ask) for turn in turns)
    given = np.empty((2, len(turns), width), dtype=np.int64)  # ids, positions
    ask_BA = np.zeros((len(turns), asked), dtype=np.int64)
    for row, turn in enumerate(turns):
        (start, stop), fed, ask = turn.plan.feed, turn.plan.fed, turn.plan.ask
        given[0, row, :fed] = turn.row.canvas.tokens_L[start:stop]
        given[1, row, :fed] = np.arange(start, stop)
        if fed < width:  # the last fed position again: same keys, same place
            given[:, row, fed:] = given[:, row, fed - 1 : fed]
        ask = ask - (start + shift)
        ask_BA[row, : len(ask)] = ask if not shift else np.maximum(ask, 0)
    length = _length(turns)
    keep = _keep(store, turns, width, length, causal=denoiser.card.causal)
    device = denoiser.device
    ids_BQ, at_BQ = send(given, device).unbind()
    return denoiser(
        ids_BQ,
        at_BQ,
        None if store is None else store.rows([turn.slot for turn in turns], length),
        None if keep is None else send(keep, device),
        send(ask_BA, device),
    )


def _without_ends(logits_BAV: Tensor, turns: list[_Turn], card: ModelCard) -> Tensor:
    """The logits, end tokens forbidden where an answer has to be longer."""
    if not any(turn.row.least for turn in turns):
        return logits_BAV
    early_BA = np.zeros(logits_BAV.shape[:2], dtype=np.bool_)
    for row, turn in enumerate(turns):
        canvas, ask = turn.row.canvas, turn.plan.ask
        early_BA[row, : len(ask)] = ask < canvas.prompt_length + turn.row.least
    early = send(early_BA, logits_BAV.device)
    for end in card.end_ids:
        logits_BAV.select(-1, end).masked_fill_(early, -torch.inf)
    return logits_BAV


def _keep(
    store: KeyValueStore | None, turns: list[_Turn], width: int, length: int, *, causal: bool
) -> NDArray[np.bool_] | None:
    """Which keys every row may look at, bool [B, L] (without a store [B, Q]); None for all, and for
    a ``causal`` model only where no row is padded."""
    fed = [turn.plan.fed for turn in turns]
    if store is None:
        return None if min(fed) == width else np.arange(width) < np.array(fed)[:, None]
    all_seen = all(turn.plan.fed + turn.plan.seen == length for turn in turns)
    if all_seen and (not causal or min(fed) == width):
        return None
    keep = np.zeros((len(turns), length), dtype=np.bool_)
    for row, turn in enumerate(turns):
        for start, stop in (turn.plan.feed, *turn.plan.read):
            keep[row, start:stop] = True
    return keep


def _length(turns: list[_Turn]) -> int:
    """Positions that somebody looks at or feeds."""
    return max(max(turn.plan.feed[1], *(stop for _, stop in turn.plan.read), 0) for turn in turns)


def _accept(proposal: Proposal, turns: list[_Turn]) -> Tensor:
    """Accepted positions, bool [B, A]; rows with the same strategy are judged together."""
    device = proposal.token_BA.device
    together: dict[object, list[int]] = {}
    for at, turn in enumerate(turns):
        together.setdefault(turn.row.policy.strategy, []).append(at)
    if len(together) == 1:
        strategy = turns[0].row.policy.strategy
        return strategy(proposal, _slate(turns, proposal))
    accept_BA = torch.zeros_like(proposal.token_BA, dtype=torch.bool)
    for members in together.values():
        index, chosen = send(members, device), [turns[at] for at in members]
        part = proposal.rows(index)
        accept_BA[index] = chosen[0].row.policy.strategy(part, _slate(chosen, part))
    return accept_BA


def _slate(turns: list[_Turn], proposal: Proposal) -> Slate:
    rows, asked = proposal.token_BA.shape
    blocks = np.full((rows, asked), -1, dtype=np.int64)
    counts = np.empty((2, rows), dtype=np.int64)  # total, age
    for row, turn in enumerate(turns):
        (start, stop), canvas, ask = turn.window.frontier, turn.row.canvas, turn.plan.ask
        blocks[row, : len(ask)] = turn.window.blocks(ask)
        counts[0, row] = np.count_nonzero(canvas.born_L[start:stop])
        counts[1, row] = canvas.step - turn.window.since
    device = proposal.token_BA.device
    block_BA = send(blocks, device)
    total_B, age_B = send(counts, device).unbind()
    random = turns[0].row.policy.strategy.random
    noise = send(_noise(turns, asked), device) if random else None
    return Slate(block_BA, total_B, age_B, noise)


def _noise(turns: list[_Turn], asked: int) -> Tensor:
    noise_BA = torch.zeros(len(turns), asked)
    for row, turn in enumerate(turns):
        generator, count = turn.row.generator, len(turn.plan.ask)
        assert generator is not None
        noise_BA[row, :count] = torch.rand(count, generator=generator, device=generator.device)
    return noise_BA
