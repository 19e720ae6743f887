"""A body of the wrong shape: which field is to blame, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unmask.server.errors import ApiError

NAMES_OF_TYPES = {"str", "int", "float", "bool", "constrained-str", "dict"}
"""Pydantic adds them to a place where a field may be of several types."""
SHOWN = 40


def as_sentence(errors: Sequence[Any], content_type: str | None) -> ApiError:
    """The error that says most: of all variants that a value is not, the one that fits furthest."""
    error = max(errors, key=lambda one: (len(one["loc"]), not one["type"].endswith("_type")))
    param = _param(error["loc"])
    if error["type"] == "json_invalid":
        where = f"{error['ctx']['error']} at character {error['loc'][-1]}"
        return ApiError(400, f"the body is no JSON: {where}", code="invalid_json")
    if not param:
        hint = "" if "json" in (content_type or "") else " with Content-Type: application/json"
        return ApiError(400, f"the body is no JSON object; send one{hint}", code="invalid_body")
    if error["type"] == "missing":
        return ApiError(400, f"{param} is missing", param=param, code="missing_parameter")
    if error["type"] == "extra_forbidden":
        return ApiError(400, f"{param} is unknown; drop it", param=param, code="unknown_parameter")
    shown = repr(error.get("input"))
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    return ApiError(400, f"{param}={shown} is not allowed: {error['msg']}", param=param)


def _param(place: Sequence[str | int]) -> str:
    """``messages[0].content`` of ("body", "messages", 0, "content", "str")."""
    found = ""
    for part in place[1:]:
        if isinstance(part, int):
            found += f"[{part}]"
        elif part in NAMES_OF_TYPES or "[" in part:
            continue
        else:
            found += f".{part}" if found else part
    return found
