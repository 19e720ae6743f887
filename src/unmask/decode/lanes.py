"""Which rows go through the model together, and which at the same time on different cores.

Rows that feed much and rows that feed little go apart when padding would cost more than another
call. On a CPU a small model's weights stay in the caches: there nothing is gained by all rows
sharing a call, while cores that share one wait for each other at the end of every operation. So
every core gets rows of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

from unmask.models.denoiser import Denoiser

Group = TypeVar("Group")
Result = TypeVar("Result")

CALL_COST = 48
"""What one more call of the model costs, in fed positions."""
SMALL = 8_000_000
"""Parameters (32 MB in fp32) that the caches of a CPU hold."""
MOST = 4
"""Beyond so many lanes the interpreter, which runs in one thread at a time, is the limit."""
WIDE = 128
"""Fed positions from which one call is worth more than one core."""
FEW = 64
"""Fed positions below which a second core costs more than it gives: little but Python is left."""


def lanes(denoiser: Denoiser) -> int:
    """How many groups of rows may run at once; 1: one after the other, each on all cores."""
    card = denoiser.card
    if denoiser.device.type != "cpu" or card.parameters > SMALL or card.processes > 1:
        return 1
    return min(torch.get_num_threads(), MOST)


def groups(lengths: Sequence[int], lanes: int) -> list[list[int]]:
    """Row numbers in groups, the longest first, for rows that feed ``lengths`` positions.

    The cheapest cut of the rows, ordered by length, where a group costs its longest length for
    every row, and a call. A group is closed when it has a lane's share of the work.
    """
    if len(lengths) == 1:
        return [[0]]
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    total = sum(lengths)
    share = total if total < FEW else total / lanes
    costs, cuts = [0], [0]  # of the first n rows: the least cost, and where its last group starts
    for stop in range(1, len(order) + 1):
        least, cut = costs[stop - 1] + lengths[order[stop - 1]] + CALL_COST, stop - 1
        for start in range(stop - 2, -1, -1):
            longest, count = lengths[order[start]], stop - start
            if longest * (count - 1) >= share:
                break
            cost = costs[start] + longest * count + CALL_COST
            if cost <= least:
                least, cut = cost, start
        costs.append(least)
        cuts.append(cut)
    found, stop = [], len(order)
    while stop:
        found.append(sorted(order[cuts[stop] : stop]))
        stop = cuts[stop]
    return found[::-1]


def each(
    work: Callable[[Group], Result], parts: Sequence[Group], lanes: int, positions: int
) -> list[Result]:
    """``work`` of all ``parts``, in their order; ``positions``: what they feed in all.

    Where one of them raises, the others are done before the error is passed on.
    """
    if lanes == 1 or (len(parts) == 1 and positions >= WIDE):
        return [work(part) for part in parts]
    with _one_core_each():
        if len(parts) == 1:
            return [work(parts[0])]
        doing = [_pool(os.getpid(), lanes).submit(work, part) for part in parts[1:]]
        try:
            first = work(parts[0])
        finally:
            wait(doing)
    return [first, *(one.result() for one in doing)]


@contextmanager
def _one_core_each() -> Iterator[None]:
    """PyTorch's threads within an operation are off: part of the setting holds for all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _pool(process: int, lanes: int) -> ThreadPoolExecutor:
    """One for each ``process``, for a fork has no threads."""
    del process
    # A new thread takes its own number of threads from the environment, unless it is told.
    return ThreadPoolExecutor(lanes - 1, "unmask-lane", lambda: torch.set_num_threads(1))
