"""Fields of a config.json, checked as they are read. A missing one is a KeyError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.errors import CheckpointError

LARGEST = 10**8
"""Of any size; it keeps what a size is multiplied to within 64 bits."""
HUGE = 10**30


def whole(config: Mapping[str, Any], field: str) -> int:
    """A whole number of at least 1."""
    value = config[field]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise _wrong(field, value, f"a whole number from 1 to {LARGEST}")
    return value


def number(config: Mapping[str, Any], field: str) -> float:
    """A number above 0."""
    value = config[field]
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not 0 < value < HUGE:
        raise _wrong(field, value, "a number above 0")
    return float(value)


def rope_theta(config: Mapping[str, Any]) -> float:
    """The base of rotary positions; newer files keep it inside rope_parameters."""
    inner = config.get("rope_parameters")
    if not isinstance(inner, Mapping):
        return number(config, "rope_theta")
    if inner.get("rope_type", "default") != "default":
        raise CheckpointError(
            f"config.json: rope_type={inner['rope_type']!r}, only 'default' is supported"
        )
    return number(inner, "rope_theta")


def flag(config: Mapping[str, Any], field: str) -> bool:
    """True or false."""
    value = config[field]
    if not isinstance(value, bool):
        raise _wrong(field, value, "true or false")
    return value


def only(config: Mapping[str, Any], required: Mapping[str, Any]) -> None:
    """Whether the fields of ``required`` that are there have the one value that is supported."""
    for field, value in required.items():
        if config.get(field, value) != value:
            raise CheckpointError(
                f"config.json: {field}={config[field]!r}, only {value!r} is supported"
            )


def token(config: Mapping[str, Any], field: str, vocabulary: int) -> int:
    """A token id."""
    value = config[field]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < vocabulary:
        raise _wrong(field, value, f"a token id from 0 to {vocabulary - 1}")
    return value


def _wrong(field: str, value: object, hint: str) -> CheckpointError:
    return CheckpointError(f"config.json: {field}={value!r} is not allowed; it has to be {hint}")
