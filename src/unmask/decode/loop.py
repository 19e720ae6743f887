"""Rows in, commits out: keeps the slots of a batch full until every row is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from unmask.canvas.events import Commit
from unmask.decode.step import Row, step
from unmask.models.denoiser import Denoiser
from unmask.models.store import KeyValueStore

Item = TypeVar("Item")


def decode(denoiser: Denoiser, rows: Sequence[Row], slots: int) -> Iterator[list[Commit]]:
    """Decode ``rows``, at most ``slots`` at a time; yields the commits of every forward.

    A finished row's slot goes to the next waiting row at once. ``rows`` are finished in place.
    """
    waiting = list(reversed(rows))
    running: list[Row] = []
    store = _store(denoiser, rows, min(slots, len(rows)))
    while waiting or running:
        while waiting and len(running) < slots:
            running.append(seeded(waiting.pop()))
        yield step(denoiser, store, running)
        _leave(running, store)


def _store(denoiser: Denoiser, rows: Sequence[Row], slots: int) -> KeyValueStore | None:
    if not any(row.policy.cache.stored for row in rows):
        return None
    return denoiser.new_store(slots, max(len(row.canvas) for row in rows))


def seeded(row: Row) -> Row:
    """Every row draws from its own generator, so its text does not depend on its neighbours."""
    if row.policy.sampling.temperature > 0 or row.policy.strategy.random:
        row.generator = torch.Generator()
        if row.policy.seed is None:
            row.generator.seed()
        else:
            row.generator.manual_seed(row.policy.seed)
    return row


def _leave(running: list[Row], store: KeyValueStore | None) -> None:
    """Take finished rows out."""
    for slot in reversed(range(len(running))):
        if running[slot].canvas.done:
            vacate(running, slot, store)


def vacate(running: list[Item], slot: int, store: KeyValueStore | None) -> None:
    """Take one out; the last one moves into its slot, so that slots stay dense."""
    last = running.pop()
    if slot < len(running):
        running[slot] = last
        if store is not None:
            store.move(len(running), slot)
