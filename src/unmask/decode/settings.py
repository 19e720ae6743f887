"""What an option is, how it is checked, and what the parts of a decoder are built from.

An option is declared once, beside whoever reads it; `unmask.decode.options` finds them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from unmask.errors import InputError

LARGEST = 2**31 - 1
"""Of any whole number that is given."""
SHOWN = 30
Default = TypeVar("Default", covariant=True)


class Card(Protocol):
    """What the parts may know of a model; a `ModelCard` is one."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def logit_shift(self) -> int: ...  # noqa: D102

    @property
    def span(self) -> int | None: ...  # noqa: D102

    @property
    def causal(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Option(Generic[Default]):
    """A keyword of `unmask.generate`, an option of the command line, a field of a request.

    ``kind``: int, float, bool or str. ``default``: what holds where nobody says anything; None is
    for nothing, or left to the reader. ``about``: what it means. ``low`` to ``high``: what numbers
    may be; ``above``: more than ``low``. ``names``: what a text may be, if that is known here.
    ``implies``: whoever gives it and names no part means the one that declares it. ``own_block``:
    of models that attend block by block it may be no more than their block.
    """

    name: str
    kind: type
    default: Default
    about: str
    low: float = 0
    high: float = math.inf
    above: bool = False
    names: tuple[str, ...] = ()
    implies: bool = False
    own_block: bool = False

    @property
    def range(self) -> str:
        """What may be given, in words."""
        if self.kind is bool:
            return "True or False"
        if self.kind is str:
            return " or ".join(self.names) or "a name"
        number = "a whole number" if self.kind is int else "a number"
        if self.high == math.inf:
            return f"{number} above 0" if self.above else f"{number} of at least {self.low:g}"
        high = "2**64 - 1" if self.high == 2**64 - 1 else f"{self.high:g}"
        return number + (
            f" above 0 and up to {high}" if self.above else f" between {self.low:g} and {high}"
        )

    def check(self, value: Any) -> None:
        """Nothing, if ``value`` may be given.

        Raises:
            InputError: it may not; the message says what may be.
        """
        default = "" if self.default is None else f"; default {self.default}"
        hint = f"{self.range} ({self.about}{default})"
        if self.kind is int:
            high = LARGEST if self.high == math.inf else int(self.high)
            whole_number(self.name, value, int(self.low), hint, high=high)
        elif self.kind is float:
            in_range(self.name, value, self.low, self.high, hint, above=self.above)
        elif not isinstance(value, self.kind) or (self.names and value not in self.names):
            raise _refused(self.name, value, hint)


MAX_NEW_TOKENS = Option("max_new_tokens", int, 256, "length of the answer, in tokens", low=1)
EARLY_STOP = Option(
    "early_stop", bool, default=True, about="stop at an end token before the first mask"
)
COMPAT: Option[str | None] = Option(
    "compat", str, None, "replay what the reference does otherwise", names=("reference",)
)
GENERAL: tuple[Option[Any], ...] = (MAX_NEW_TOKENS, EARLY_STOP, COMPAT)
"""Options that every decoder uses."""


@dataclass(frozen=True)
class Settings:
    """What a decoder is built from: ``values`` by option, and the ``preset`` they began with.

    ``given``: what the user named. ``usual``: the preset that fits the model. The last two are told
    by the parts that are built first. ``block``: positions in a block of the schedule. ``alone``:
    whether a refresh of the cache decides on one position only.
    """

    values: Mapping[str, Any]
    given: frozenset[str] = frozenset()
    preset: str = ""
    usual: str = ""
    block: int = 0
    alone: bool = False

    def __getitem__(self, option: Option[Default]) -> Default:
        """What was chosen, or the default."""
        value: Default | None = self.values.get(option.name)
        return option.default if value is None else value

    @property
    def max_new_tokens(self) -> int:
        """Length of the answer."""
        return self[MAX_NEW_TOKENS]

    @property
    def reference(self) -> bool:
        """Whether the quirks of the reference are asked for."""
        return self[COMPAT] is not None

    def fit(self, kind: str, card: Card, *, fits: bool) -> None:
        """For a schedule or cache (the ``kind``) that ``fits`` certain models only.

        Raises:
            InputError: it does not fit this one.
        """
        if fits:
            return
        field = kind if kind in self.given else "preset"
        sight = "masked" if card.span is None else "causal" if card.causal else "block-causal"
        parts = " and ".join(f"{name}={self.values[name]!r}" for name in ("schedule", "cache"))
        raise InputError(
            f"model {card.name!r} is {sight}: preset={self.preset!r} with {parts} does not fit it",
            field=field,
            given=self.values.get(field, self.preset),
            hint=f"use preset={self.usual!r}",
        )


def in_range(
    field: str, value: float, low: float, high: float, hint: str, *, above: bool = False
) -> float:
    """``value`` as a float if it lies in [low, high] (above: in (low, high]).

    Raises:
        InputError: it does not, or is no number.
    """
    real = isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)
    if not real or isinstance(value, bool) or not low <= value <= high or (above and value == low):
        raise _refused(field, value, hint)
    return float(value)


def whole_number(field: str, value: int, low: int, hint: str, *, high: int = LARGEST) -> int:
    """``value`` if it is an integer from ``low`` to ``high``.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _refused(field, value, hint)
    return value


def _refused(field: str, value: object, hint: str) -> InputError:
    message = f"{field}={_shown(value)} is not allowed"
    return InputError(message, field=field, given=value, hint=f"give {hint}")


def _shown(value: object) -> str:
    """A value for a message, cut if it is endless."""
    if isinstance(value, int) and abs(value) > 10**SHOWN:
        return "a number of over 30 digits"
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
