"""Work on the machines of a Ray cluster: one replica a worker, one result an item.

A lost worker is replaced, and what it had not answered yet goes to others. Answers count where they
arrive, in this process: none is lost, and none comes twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, NamedTuple

from unmask.cluster.spread import Answer, Item, Key, Replica, Work
from unmask.cluster.worker import Worker
from unmask.errors import ClusterError, UnmaskError

PATIENCE = 1
"""All workers may be lost with no answer in between (a machine that went), but not so many more."""


class Task(NamedTuple):
    """A worker and the items whose answers it owes."""

    actor: Any
    owed: dict[Any, Any]


class Pool(Generic[Replica]):
    """``workers`` processes, each of which calls ``load`` for a replica of its own.

    ``ray``: the module, connected. ``needs``: options of an actor, say ``num_gpus``. ``least``:
    items that a worker gets at a time, if there are as many: what fills its batch. To be used as a
    context: the workers end with it.
    """

    def __init__(
        self, ray: Any, load: Callable[[], Replica], *, workers: int, least: int, **needs: float
    ) -> None:
        self._ray, self._workers, self._least = ray, workers, least
        self._load = ray.put(load)
        self._kind = ray.remote(Worker).options(**needs)
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._tasks: dict[Any, Task] = {}
        self._losses = 0
        self._fill()

    def __enter__(self) -> Pool[Replica]:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all workers."""
        busy = (task.actor for task in self._tasks.values())
        for actor in itertools.chain(self._starting.values(), self._idle, busy):
            self._ray.kill(actor)

    def __call__(
        self, work: Work[Replica, Key, Item, Answer], items: Mapping[Key, Item]
    ) -> Iterator[tuple[Key, Answer]]:
        """See `unmask.cluster.spread.Spread`.

        Raises:
            ClusterError: worker after worker is lost.
        """
        told = self._ray.put(work)  # sent once to each machine, not with every lot
        waiting = dict(items)
        try:
            while waiting or self._tasks:
                self._fill()
                while waiting and self._idle:
                    self._give(told, waiting)
                [ready], _ = self._ray.wait([*self._starting, *self._tasks], num_returns=1)
                if ready in self._starting:
                    self._welcome(ready)
                else:
                    yield from self._hear(ready, waiting)
        finally:
            for stream in list(self._tasks):  # whoever asked has gone
                self._ray.kill(self._tasks.pop(stream).actor)

    def _fill(self) -> None:
        """As many workers as there should be."""
        for _ in range(self._workers - len(self._starting) - len(self._idle) - len(self._tasks)):
            actor = self._kind.remote()
            self._starting[actor.ready.remote(self._load)] = actor

    def _give(self, told: Any, waiting: dict[Any, Any]) -> None:
        """A lot for an idle worker: half of its share of what is left, so that lots shrink towards
        the end and all are done at about the same time."""
        size = max(self._least, math.ceil(len(waiting) / (2 * self._workers)))
        lot = dict(itertools.islice(waiting.items(), size))
        for key in lot:
            del waiting[key]
        actor = self._idle.pop()
        self._tasks[actor.answer.remote(told, lot)] = Task(actor, lot)

    def _welcome(self, ready: Any) -> None:
        """A worker has loaded its replica, or could not."""
        actor = self._starting.pop(ready)
        try:
            self._result(ready)
        except ClusterError as error:
            self._lose(actor, error)
        else:
            self._idle.append(actor)

    def _hear(self, stream: Any, waiting: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
        """What a worker sent: an answer, its last word, or nothing ever again."""
        actor, owed = self._tasks[stream]
        try:
            key, answer = self._result(next(stream))
        except StopIteration:
            del self._tasks[stream]
            self._idle.append(actor)
        except ClusterError as error:
            del self._tasks[stream]
            waiting.update(owed)
            self._lose(actor, error)
        else:
            del owed[key]
            self._losses = 0
            yield key, answer

    def _result(self, ref: Any) -> Any:
        """What ``ref`` stands for.

        Raises:
            ClusterError: the worker is lost.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except errors.RayTaskError as error:  # the work itself raised it
            if isinstance(error.cause, UnmaskError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            raise ClusterError(str(error).splitlines()[0]) from None

    def _lose(self, actor: Any, error: ClusterError) -> None:
        """Another worker comes in its place, unless that went on for long enough."""
        self._ray.kill(actor)  # it may only be out of reach
        self._losses += 1
        if self._losses >= self._workers + PATIENCE:
            raise ClusterError(
                f"{self._losses} workers were lost one after another without an answer ({error}); "
                "mend what ends them (memory, most often) and give the command again to go on"
            )
