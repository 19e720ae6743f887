"""Keywords of `unmask.generate`, for editors. Written by docs/make_options.py."""

from __future__ import annotations

from typing import TypedDict


class Overrides(TypedDict, total=False):
    """What changes a preset; None leaves it as it is."""

    schedule: str | None
    cache: str | None
    strategy: str | None
    block_length: int | None
    horizon: int | None
    block_add_threshold: float | None
    delay: int | None
    refresh: int | None
    factor: float | None
    steps: int | None
    delta: float | None
    threshold: float | None
    max_new_tokens: int | None
    early_stop: bool | None
    compat: str | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
