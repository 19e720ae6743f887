"""An evaluation's questions go to whoever answers; what comes back are records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from unmask.cluster.spread import Spread
from unmask.errors import InputError
from unmask.evaluate.rank import rank, ranking
from unmask.evaluate.record import Record, key_of
from unmask.evaluate.run import Contestant, place_of, run
from unmask.evaluate.task import Example, Task
from unmask.models.loading import Model


class Poll(NamedTuple):
    """What is asked: ``mode`` is "generate", or "likelihood" with so many ``samples`` a choice."""

    task: Task
    mode: str
    samples: int


@dataclass(frozen=True)
class Asking:
    """Work for a replica. ``fields``: those of a Contestant but for its model and place, for the
    records of whoever computes tell where that was."""

    fields: Mapping[str, Any]
    poll: Poll

    def __call__(
        self, model: Model, examples: Mapping[int, Example]
    ) -> Iterator[tuple[int, Record]]:
        """A record for every example."""
        who, (task, mode, samples) = Contestant(model, **self.fields), self.poll
        ranked = mode == "likelihood"
        found = rank(who, task, examples, samples) if ranked else run(who, task, examples)
        for record in found:
            yield record.index, record


def records(
    who: Contestant,
    poll: Poll,
    examples: Mapping[int, Example],
    known: Mapping[str, Record],
    spread: Spread[Model],
) -> Iterator[Record]:
    """A record for every example: what is ``known`` by its key, then what is not.

    ``who.model`` is asked about, ``spread`` answers.

    Raises:
        InputError: settings or prompts that cannot be; whoever answers is of different kinds.
        DecodeError: the model returned NaN.
    """
    who = replace(who, place=place(spread))
    ranked = poll.mode == "likelihood"
    settings = ranking(poll.samples) if ranked else who.settings(poll.task)
    waiting: dict[int, Example] = {}
    keys: dict[int, str] = {}
    for number, example in examples.items():
        key = key_of(who.identity(poll.task, (number, example), poll.mode, settings))
        if key in known:
            yield known[key]
        else:
            waiting[number], keys[number] = example, key
    own = {"model", "place"}
    work = Asking({name: value for name, value in vars(who).items() if name not in own}, poll)
    for number, record in spread(work, waiting):
        if record.key != keys[number]:
            raise _unlike(who, record)
        yield record


def place(spread: Spread[Model]) -> dict[str, Any]:
    """Where one of those who answer computes; the others have to be of its kind."""
    [(_, found)] = spread(_place, {0: None})
    return found


def _place(model: Model, lot: Mapping[int, None]) -> list[tuple[int, dict[str, Any]]]:
    return [(key, place_of(model)) for key in lot]


def _unlike(who: Contestant, record: Record) -> InputError:
    found = {name: getattr(record, name) for name in who.place or ()}
    return InputError(
        f"one worker answers with {who.place}, another one with {found}, and records of both "
        "cannot be compared; use machines of one kind"
    )
