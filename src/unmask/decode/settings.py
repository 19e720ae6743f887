"""The flat settings of a decoding run, as a user types them, and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.errors import InputError

LARGEST = 2**31 - 1
"""Of any whole number that is given."""
SHOWN = 30


@dataclass(frozen=True)
class Settings:
    """Names as in `unmask.generate`. None means: the default of whoever reads it.

    ``shifted``, ``span`` and ``cached`` are facts about model and cache, not choices.
    """

    max_new_tokens: int
    block_length: int
    schedule: str
    strategy: str
    cache: str
    early_stop: bool
    threshold: float | None = None
    factor: float | None = None
    delta: float | None = None
    steps: int | None = None
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    compat: str | None = None
    block_add_threshold: float | None = None
    delay: int | None = None
    refresh: int | None = None
    horizon: int | None = None
    shifted: bool = False
    span: int | None = None
    cached: bool = False

    @property
    def blocks(self) -> int:
        """Number of blocks of the answer. (On the grid of a block-causal model a prompt that ends
        inside a block can make it one more.)"""
        if self.schedule == "whole":
            return 1
        length = 1 if self.schedule == "left_to_right" else self.block_length
        return -(-self.max_new_tokens // length)

    def steps_per_block(self) -> int:
        """Forwards a quota strategy spends on a block: one per token unless ``steps`` is given.

        Raises:
            InputError: ``steps`` cannot be shared equally by the blocks.
        """
        if self.steps is None:
            return self.max_new_tokens if self.schedule == "whole" else self.block_length
        if self.steps % self.blocks:
            near = -(-self.steps // self.blocks) * self.blocks
            raise InputError(
                f"steps={self.steps} cannot be shared equally by {self.blocks} blocks; "
                f"use a multiple of {self.blocks}, say {near}"
            )
        return self.steps // self.blocks


def in_range(
    field: str, value: float, low: float, high: float, hint: str, *, above: bool = False
) -> float:
    """``value`` as a float if it lies in [low, high] (above: in (low, high]).

    Raises:
        InputError: it does not, or is no number.
    """
    real = isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)
    if not real or isinstance(value, bool) or not low <= value <= high or (above and value == low):
        raise InputError(f"{field}={_shown(value)} is not allowed; give {hint}")
    return float(value)


def whole_number(field: str, value: int, low: int, hint: str, *, high: int = LARGEST) -> int:
    """``value`` if it is an integer from ``low`` to ``high``.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{field}={_shown(value)} is not allowed; give {hint}")
    return value


def _shown(value: object) -> str:
    """A value for a message, cut if it is endless."""
    if isinstance(value, int) and abs(value) > 10**SHOWN:
        return "a number of over 30 digits"
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def delay_and_refresh(settings: Settings, delay: int) -> tuple[int, int | None]:
    """How many forwards a cache waits (``delay`` if none is given), and its refresh interval.

    Raises:
        InputError: one of them cannot be.
    """
    delay = delay if settings.delay is None else settings.delay
    whole_number("delay", delay, 0, "a number of forwards, 0 or more")
    if settings.refresh is not None:
        hint = "a number of forwards of at least 1, or leave it out for never"
        whole_number("refresh", settings.refresh, 1, hint)
    return delay, settings.refresh
