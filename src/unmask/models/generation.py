"""What a checkpoint's generation_config.json says: two defaults of ours, and end tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unmask.errors import CheckpointError
from unmask.files import read_object
from unmask.models.config import ends, whole

FILE = "generation_config.json"
DEFAULTS = {"max_new_tokens": 256, "block_length": 32}


def read(folder: Path) -> dict[str, Any]:
    """The whole file; nothing if there is none. Most of it is not ours."""
    path = folder / FILE
    return read_object(path, CheckpointError) if path.exists() else {}


def defaults(found: dict[str, Any]) -> dict[str, int]:
    """Our two settings, where the file has them."""
    return {name: whole(found, name, FILE) for name in DEFAULTS if found.get(name) is not None}


def end_ids(found: dict[str, Any], vocabulary: int) -> tuple[int, ...]:
    """The tokens that transformers would stop at; none if the file names none."""
    given = found.get("eos_token_id") not in (None, [])
    return ends(found, vocabulary, FILE) if given else ()
