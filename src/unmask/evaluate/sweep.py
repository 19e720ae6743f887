"""Options with several values -> every combination of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from unmask import catalogue
from unmask.decode.options import Entry, table
from unmask.errors import InputError


def combinations(given: Sequence[str]) -> list[dict[str, Any]]:
    """Of ``["threshold=0.5,0.9", "cache=dual"]``: four entries {option: value}; one empty entry
    where nothing is swept.

    Raises:
        InputError: an option that cannot be swept, is given twice or has an unreadable value.
    """
    axes: dict[str, list[Any]] = {}
    known = table()
    for entry in given:
        name, sign, values = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not values.strip(" ,"):
            raise InputError(f"sweep={entry!r} has no values; write it like threshold=0.5,0.9")
        if name not in known:
            raise catalogue.unknown("sweep", name, sorted(known))
        if name in axes:
            raise InputError(f"sweep={name!r} is given twice; give all its values at once")
        axes[name] = [_value(known[name], one.strip()) for one in values.split(",") if one]
        if len(set(axes[name])) < len(axes[name]):
            raise InputError(f"sweep={entry!r} has a value twice; give each once")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _value(entry: Entry, typed: str) -> Any:
    try:
        return entry.read(typed)
    except ValueError as error:
        raise InputError(f"sweep {entry.name}={typed!r} is not understood: {error}") from None
