"""Numbered things in, numbered answers out: the seam between a job and whoever does the work.

A job says what is to be done with a replica (a loaded model, say) and a lot of items. Whether that
happens in this process (`Here`) or in many others (`unmask.cluster.pool.Pool`) it does not see; it
gets each answer once, and is the only one who writes anything down.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

Replica = TypeVar("Replica")
Replica_co = TypeVar("Replica_co", covariant=True)
Key = TypeVar("Key")
Item = TypeVar("Item")
Answer = TypeVar("Answer")

Work = Callable[[Replica, Mapping[Key, Item]], Iterable[tuple[Key, Answer]]]
"""One answer for every item of a lot, as they are done. It may be run again on items whose answer
did not arrive, so it changes nothing but its replica; to travel, it has to be picklable."""


class Spread(Protocol[Replica_co]):
    """Whoever has replicas and does work with them."""

    def __call__(
        self, work: Work[Replica_co, Key, Item, Answer], items: Mapping[Key, Item]
    ) -> Iterator[tuple[Key, Answer]]:
        """The answer of every item, once, in the order in which they are done.

        What ``work`` raises is raised here.
        """
        ...


class Here(Generic[Replica]):
    """This process, with the one ``replica`` it has. ``lot``: items that are worked on together;
    None takes all at once."""

    def __init__(self, replica: Replica, lot: int | None = None) -> None:
        self._replica, self._lot = replica, lot

    def __call__(
        self, work: Work[Replica, Key, Item, Answer], items: Mapping[Key, Item]
    ) -> Iterator[tuple[Key, Answer]]:
        """See `Spread`."""
        left = iter(items.items())
        while lot := dict(itertools.islice(left, self._lot)):
            yield from work(self._replica, lot)
