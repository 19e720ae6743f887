"""Fields of a config.json, checked as they are read. A missing one is a KeyError."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from unmask.errors import CheckpointError

LARGEST = 10**8
"""Of any size; it keeps what a size is multiplied to within 64 bits."""
HUGE = 10**30


def whole(config: Mapping[str, Any], field: str, file: str = "config.json") -> int:
    """A whole number of at least 1."""
    value = config[field]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise _wrong(field, value, f"a whole number from 1 to {LARGEST}", file)
    return value


def number(config: Mapping[str, Any], field: str) -> float:
    """A number above 0."""
    value = config[field]
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not 0 < value < HUGE:
        raise _wrong(field, value, "a number above 0")
    return float(value)


def rope_theta(config: Mapping[str, Any]) -> float:
    """The base of rotary positions, which newer files keep inside rope_parameters.

    Scaled positions are refused, whatever their field is called: ``rope_scaling`` before
    transformers 5, ``rope_parameters`` since. Where several bases are given, that one counts which
    counts there.
    """
    found: Mapping[str, Any] = {}
    for field in ("rope_parameters", "rope_scaling"):
        found = _unscaled(field, config.get(field)) or found
    if config.get("partial_rotary_factor") is not None:
        only(config, {"partial_rotary_factor": 1})
    return number(config if found.get("rope_theta") is None else found, "rope_theta")


def _unscaled(field: str, given: object) -> Mapping[str, Any]:
    """The settings ``given`` of rotary positions, none of which scales them."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise _wrong(field, given, "an object or null")
    kinds = [given[name] for name in ("rope_type", "type") if given.get(name) is not None]
    for kind in kinds:
        if kind != "default":
            raise CheckpointError(
                f"config.json: {field}={reprlib.repr(given)} scales positions (rope_type={kind!r})"
                ", only None or rope_type 'default' is supported"
            )
    known = ("factor", "partial_rotary_factor") if kinds else set(given) - {"rope_theta"}
    for name in known:
        if given.get(name) not in (None, 1):
            raise CheckpointError(
                f"config.json: {field} has {name}={given[name]!r}, which is not supported; "
                "only plain rotary positions are (rope_type 'default')"
            )
    return given


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
    if not _is_token(value, vocabulary):
        raise _wrong(field, value, f"a token id from 0 to {vocabulary - 1}")
    return int(value)


def ends(config: Mapping[str, Any], vocabulary: int, file: str = "config.json") -> tuple[int, ...]:
    """The end tokens of ``eos_token_id``: one, or a list of them."""
    value = config["eos_token_id"]
    found = value if isinstance(value, list) else [value]
    if not found or not all(_is_token(one, vocabulary) for one in found):
        hint = f"a token id from 0 to {vocabulary - 1}, or a list of them"
        raise _wrong("eos_token_id", value, hint, file)
    return tuple(dict.fromkeys(found))


def pad_or_end(config: Mapping[str, Any], vocabulary: int) -> int:
    """The padding, or the first end token in its place."""
    if config.get("pad_token_id") is None:
        return ends(config, vocabulary)[0]
    return token(config, "pad_token_id", vocabulary)


def _is_token(value: object, vocabulary: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocabulary


def _wrong(field: str, value: object, hint: str, file: str = "config.json") -> CheckpointError:
    return CheckpointError(f"{file}: {field}={value!r} is not allowed; it has to be {hint}")
