"""A process of a cluster: holds a replica and works on what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic

from unmask.cluster.spread import Answer, Item, Key, Replica, Work


class Worker(Generic[Replica]):
    """An actor. ``ready`` comes first."""

    _replica: Replica

    def ready(self, load: Callable[[], Replica]) -> None:
        """Load the replica. Not while the actor is made, for then an error would come as that of a
        dead actor."""
        self._replica = load()

    def answer(
        self, work: Work[Replica, Key, Item, Answer], lot: Mapping[Key, Item]
    ) -> Iterator[tuple[Key, Answer]]:
        """Answers of a lot, sent one by one."""
        # Not "yield from": Ray sends into this generator, and not every iterable takes that.
        for answer in work(self._replica, lot):  # noqa: UP028
            yield answer
