"""JSON files that users and checkpoints bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unmask.errors import UnmaskError

FAULTS = (OSError, UnicodeDecodeError, ValueError, RecursionError)
"""What reading a file and its JSON can raise: endless numbers and nests among it."""


def reason_of(error: BaseException) -> str:
    """The first line of what went wrong."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def read_object(path: Path, kind: type[UnmaskError]) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        kind: the file cannot be read, or holds something else.
    """
    try:
        entry = json.loads(path.read_text(encoding="utf-8-sig"))
    except FAULTS as error:
        raise kind(f"{path} cannot be read as JSON ({reason_of(error)}); write it anew") from None
    if not isinstance(entry, dict):
        raise kind(f"{path} holds no JSON object; write it anew")
    return entry
