"""What is the same for all requests of a server: its name, its defaults, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIME_LIMIT = 300.0
BODY_LIMIT = 1 << 20


@dataclass(frozen=True)
class ServerSettings:
    """``name``: what requests call the model. ``preset`` and ``overrides``: decoding where a
    request says nothing. ``api_key``: asked of everything under /v1. ``cors``: origins of pages
    that may call. ``time_limit``: seconds for a request, waiting included. ``body_limit``: bytes.
    """

    name: str
    preset: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    api_key: str | None = None
    cors: tuple[str, ...] = ()
    time_limit: float = TIME_LIMIT
    body_limit: int = BODY_LIMIT
