"""Options with several values -> every combination of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unmask import catalogue
from unmask.errors import InputError

Kind = Callable[[str], Any]
"""From a typed value."""


def combinations(given: Sequence[str], kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Of ``["threshold=0.5,0.9", "cache=dual"]``: four entries {option: value}; one empty entry
    where nothing is swept.

    ``kinds``: the options that can be swept, and what reads their values.

    Raises:
        InputError: an option that cannot be swept, is given twice or has an unreadable value.
    """
    axes: dict[str, list[Any]] = {}
    for entry in given:
        name, sign, values = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not values.strip(" ,"):
            raise InputError(f"sweep={entry!r} has no values; write it like threshold=0.5,0.9")
        if name not in kinds:
            raise catalogue.unknown("sweep", name, sorted(kinds))
        if name in axes:
            raise InputError(f"sweep={name!r} is given twice; give all its values at once")
        axes[name] = [_value(name, one.strip(), kinds[name]) for one in values.split(",") if one]
        if len(set(axes[name])) < len(axes[name]):
            raise InputError(f"sweep={entry!r} has a value twice; give each once")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _value(name: str, typed: str, kind: Kind) -> Any:
    try:
        return kind(typed)
    except ValueError as error:
        raise InputError(f"sweep {name}={typed!r} is not understood: {error}") from None
