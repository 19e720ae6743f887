"""A body of the wrong shape: which field is to blame, in one sentence."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from unmask.server.errors import ApiError

NAMES_OF_TYPES = {"str", "int", "float", "bool", "constrained-str", "constrained-int", "dict"}
"""Pydantic adds them to a place where a field may be of several types."""
SHOWN = 40


class _Short(reprlib.Repr):
    """Looks at a few entries only, however large a value is."""

    def repr_dict(self, given: dict[Any, Any], level: int) -> str:
        """The first entries; the library would sort all of them."""
        return super().repr_dict(dict(islice(given.items(), self.maxdict + 1)), level)


def shown(value: Any) -> str:
    """``value`` for a message, cut if it is long."""
    text = _Short().repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def few(most: int) -> BeforeValidator:
    """Refuses a list or object of more than ``most`` entries before any of them is looked at."""

    def check(given: Any) -> Any:
        if isinstance(given, (list, dict)) and len(given) > most:
            counts = {"given": len(given), "most": most}
            raise PydanticCustomError("few", "it has {given} entries; give at most {most}", counts)
        return given

    return BeforeValidator(check)


def as_sentence(errors: Sequence[Any]) -> ApiError:
    """The error that says most: of all variants that a value is not, the one that fits furthest."""
    error = max(errors, key=lambda one: (len(one["loc"]), not one["type"].endswith("_type")))
    param = _param(error["loc"])
    if error["type"] == "missing":
        return ApiError(400, f"{param} is missing", param=param, code="missing_parameter")
    if error["type"] == "extra_forbidden":
        param = _param(error["loc"][:-1]) + f".{error['loc'][-1][:SHOWN]}"
        param = param.removeprefix(".")
        return ApiError(400, f"{param} is unknown; drop it", param=param, code="unknown_parameter")
    what = f"{param}={shown(error.get('input'))}"
    return ApiError(400, f"{what} is not allowed: {error['msg']}", param=param)


def _param(place: Sequence[str | int]) -> str:
    """``messages[0].content`` of ("messages", 0, "content", "str")."""
    found = ""
    for part in place:
        if isinstance(part, int):
            found += f"[{part}]"
        elif part in NAMES_OF_TYPES or "[" in part:
            continue
        else:
            found += f".{part}" if found else part
    return found
