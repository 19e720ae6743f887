"""Is one method better than another? Both on the same examples, resampled together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unmask.errors import InputError
from unmask.evaluate.intervals import Interval, of_draws, ratio, resampled
from unmask.evaluate.metrics import points
from unmask.evaluate.record import Record


@dataclass(frozen=True)
class Comparison:
    """Of a method with a base, over ``answers`` examples that both answered.

    ``forwards``, ``seconds``: its sum by the base's; below 1 is better; None where the base has
    none. ``accuracy``: its accuracy less the base's, in points.
    """

    answers: int
    forwards: Interval | None
    seconds: Interval | None
    accuracy: Interval


def compared(base: Iterable[Record], other: Iterable[Record], seed: int = 0) -> Comparison:
    """``other`` against ``base``, each one method at one setting, with a paired bootstrap.

    Raises:
        InputError: one of them holds several settings or none, or the examples differ.
    """
    first, second = _answers("base", base), _answers("other", other)
    if first.keys() != second.keys():
        odd = min(first.keys() ^ second.keys())
        raise InputError(
            f"base and other answered different examples ({odd[0]} {odd[1]} stands in one of them "
            "only); compare runs over the same ones"
        )
    names = ("forwards", "seconds", "right")
    keys = sorted(first)
    table = np.array(
        [[getattr(row[key], name) for row in (first, second) for name in names] for key in keys],
        dtype=np.float64,
    )
    draws = resampled(table, seed)
    sums = table.sum(axis=0)
    share = 100 / len(keys)
    return Comparison(
        len(keys),
        ratio(table[:, 3], table[:, 0], draws[:, (3, 0)]),
        ratio(table[:, 4], table[:, 1], draws[:, (4, 1)]),
        of_draws(float(sums[5] - sums[2]) * share, (draws[:, 5] - draws[:, 2]) * share),
    )


def _answers(side: str, records: Iterable[Record]) -> dict[tuple[str, int], Record]:
    """By task and index."""
    rows = list(records)
    settings = Counter(one.setup.task for one in points(rows))
    if set(settings.values()) != {1}:
        raise InputError(
            f"{side} holds {max(settings.values(), default=0)} settings of a task; a comparison "
            "takes one method at one setting"
        )
    return {(row.task, row.index): row for row in rows}
