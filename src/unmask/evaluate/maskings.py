"""Which tokens of a continuation to mask for its likelihood, and what the scores of these come to.

The bound that is estimated is a mean over l = 1 .. L, the number of masked tokens, each weighing
the same (`unmask.evaluate.likelihood` says why). So l is stratified instead of drawn, and wherever
the masked sets of a size are few enough, all of them are taken and nothing is left to chance.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

Masked = tuple[int, ...]
"""Offsets into the continuation, ascending."""


@dataclass(frozen=True)
class Stratum:
    """Masked sets that stand for an equal share of the mean; ``whole``: these are all there are."""

    sets: list[Masked]
    whole: bool


def strata(length: int, samples: int, generator: torch.Generator) -> list[Stratum]:
    """What to mask of ``length`` tokens, at most ``samples`` sets in all.

    If all 2^L - 1 sets are no more than that, all are taken and the estimate is no estimate. From
    L sets on every size l is a stratum of its own, so that l is not drawn any more. With fewer sets
    the sizes are cut into as many equal parts, and one is drawn in each.
    """
    parts = min(length, samples)
    if samples >= 2**length - 1:
        return [_all_of(length, size) for size in range(1, length + 1)]
    found = []
    for part in range(parts):
        count = (part + 1) * samples // parts - part * samples // parts
        if parts == length and math.comb(length, part + 1) <= count:
            found.append(_all_of(length, part + 1))
            continue
        sizes = [_size(part, parts, length, generator) for _ in range(count)]
        found.append(Stratum([_drawn(length, size, generator) for size in sizes], whole=False))
    return found


def estimate(drawn: Sequence[Stratum], scores: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error; ``scores`` are L / l times the sum of log p, in order of the sets.

    The variance of a stratum is that of its own scores. One that has a single score borrows the
    distance to its neighbour, half of whose square has at least the right expectation wherever
    neighbours are alike (collapsed strata). NaN where there is no neighbour either.
    """
    given = iter(scores)
    groups = [list(itertools.islice(given, len(stratum.sets))) for stratum in drawn]
    count = len(groups)
    mean = math.fsum(map(statistics.fmean, groups)) / count
    variance = math.fsum(
        _variance(groups, at) / len(groups[at])
        for at, stratum in enumerate(drawn)
        if not stratum.whole
    )
    return mean, math.sqrt(variance) / count


def _all_of(length: int, size: int) -> Stratum:
    return Stratum(list(itertools.combinations(range(length), size)), whole=True)


def _size(part: int, parts: int, length: int, generator: torch.Generator) -> int:
    """A size of the given part of 1 .. L; parts need not begin at whole numbers."""
    if parts == length:
        return part + 1
    spot = (part + float(torch.rand((), generator=generator, dtype=torch.float64))) / parts
    return min(int(spot * length), length - 1) + 1


def _drawn(length: int, size: int, generator: torch.Generator) -> Masked:
    return tuple(sorted(torch.randperm(length, generator=generator)[:size].tolist()))


def _variance(groups: list[list[float]], at: int) -> float:
    own = groups[at]
    if len(own) > 1:
        return statistics.variance(own)
    if len(groups) == 1:
        return math.nan
    other = groups[at + 1 if at + 1 < len(groups) else at - 1]
    return (own[0] - statistics.fmean(other)) ** 2 / 2
