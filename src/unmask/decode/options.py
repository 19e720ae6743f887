"""Which options are there? Folded from who declares them: the one table behind every face.

Command line, requests, sweeps, saved settings and documentation ask here. A part that is added
while the program runs is in the next answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
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
Declared = Mapping[str, Mapping[str, tuple[Option[Any], ...]]]
"""Kind -> name of a part -> its options."""


class Entry(NamedTuple):
    """An option as the faces show it: ``uses`` holds who declares it, and as what. ``group``:
    decoding or sampling."""

    name: str
    kind: type
    group: str
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
    return {
        kind: {
            name: import_module(f"{package}.{name}").OPTIONS for name in catalogue.names(package)
        }
        for kind, package in KINDS.items()
    }


def table() -> dict[str, Entry]:
    """Every option by its name."""
    parts = declared()
    uses: dict[str, list[tuple[str, Option[Any]]]] = {}
    for kind, about in QUESTIONS.items():
        known = ", ".join(parts[kind])
        uses[kind] = [("", Option(kind, str, None, f"{about}: {known}"))]
    for kind in KINDS:
        for part, own in parts[kind].items():
            for option in own:
                uses.setdefault(option.name, []).append((part, option))
    general = {option.name: [("", option)] for option in EVERYBODY}
    assert not general.keys() & uses.keys(), "an option of a part has a general option's name"
    sampling = {option.name for option in SAMPLING}
    found = {}
    for name, by in {**uses, **general}.items():
        kinds = {option.kind for _, option in by}
        assert len(kinds) == 1, f"{name} is declared as {kinds}"
        group = "sampling" if name in sampling else "decoding"
        found[name] = Entry(name, kinds.pop(), group, tuple(by))
    return found
