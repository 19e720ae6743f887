"""Which options are there? Folded from who declares them: the one table behind every face.

Command line, requests, sweeps, saved settings and documentation ask here. A part that is added
while the program runs is in the next answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from unmask import catalogue
from unmask.decode.proposal import SAMPLING
from unmask.decode.settings import GENERAL, Option
from unmask.errors import InputError

KINDS = {
    "schedule": "unmask.decode.schedules",
    "cache": "unmask.decode.caches",
    "strategy": "unmask.decode.strategies",
}
"""Kinds of parts and the folders of their files, in the order in which they are built."""
EVERYBODY = (*GENERAL, *SAMPLING)
"""What is read whichever parts are chosen."""
QUESTIONS = {"schedule": "where to write", "cache": "what to keep", "strategy": "what to believe"}
Uses = Mapping[str, Option[Any]]
Declared = Mapping[str, Mapping[str, Uses]]
"""Kind -> name of a part -> its options by their names."""


class Entry(NamedTuple):
    """An option as the faces show it: ``uses`` holds who declares it, and as what."""

    name: str
    kind: type
    uses: tuple[tuple[str, Option[Any]], ...]

    @property
    def about(self) -> str:
        """What it means, to whom."""
        users: dict[str, list[str]] = {}
        for user, option in self.uses:
            users.setdefault(option.about, []).extend([user] if user else [])
        told = (f"{about} ({', '.join(of)})" if of else about for about, of in users.items())
        return "; ".join(told)

    @property
    def range(self) -> str:
        """What may be given, in words."""
        return ", or ".join(dict.fromkeys(option.range for _, option in self.uses))

    def read(self, typed: str) -> Any:
        """The value that was typed.

        Raises:
            ValueError: it is none.
        """
        if self.kind is not bool:
            return self.kind(typed)
        if typed.lower() not in ("true", "false"):
            raise ValueError("give true or false")
        return typed.lower() == "true"

    def check(self, value: Any) -> None:
        """Nothing, if one of those who read it may be given ``value``.

        Raises:
            InputError: nobody may.
        """
        errors = []
        for _, option in self.uses:
            try:
                return option.check(value)
            except InputError as error:
                errors.append(error)
        raise errors[0]


def declared() -> Declared:
    """Every part that there is, with its options."""

    def uses(module: ModuleType) -> Uses:
        return {option.name: option for option in module.OPTIONS}

    return {
        kind: {name: uses(import_module(f"{home}.{name}")) for name in catalogue.names(home)}
        for kind, home in KINDS.items()
    }


def table() -> dict[str, Entry]:
    """Every option by its name."""
    parts = declared()
    uses: dict[str, list[tuple[str, Option[Any]]]] = {}
    for kind, about in QUESTIONS.items():
        told = f"{about}: {', '.join(parts[kind])}"
        uses[kind] = [("", Option(kind, str, None, told))]
    for part, option in ((p, o) for own in parts.values() for p in own for o in own[p].values()):
        uses.setdefault(option.name, []).append((part, option))
    for option in EVERYBODY:
        assert option.name not in uses, f"{option.name} is a general option"
        uses[option.name] = [("", option)]
    for name, by in uses.items():
        assert len({option.kind for _, option in by}) == 1, f"{name} has several types"
    return {name: Entry(name, by[0][1].kind, tuple(by)) for name, by in uses.items()}
