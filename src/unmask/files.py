"""JSON that users and checkpoints bring, and files of lines that grow."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any

from unmask.errors import InputError, UnmaskError

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


@contextmanager
def growing(path: Path) -> Iterator[BufferedRandom]:
    """``path``, to be read and added to, made if it is not there; nobody else may write to it
    meanwhile.

    Raises:
        InputError: it cannot be written, or somebody does.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    except OSError as error:
        raise InputError(f"out={str(path)!r} cannot be written: {reason_of(error)}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"out={str(path)!r} is being written by another run; wait or give another file"
            ) from None
        yield file


def whole_lines(file: BufferedRandom) -> tuple[list[bytes], bytes]:
    """The lines of a growing file, and what a killed run left half written of one more."""
    *lines, torn = file.read().split(b"\n")
    return lines, torn


def cut_off(file: BufferedRandom, torn: bytes) -> None:
    """Go on where the last whole line ends. Only once it is known whose file it is."""
    file.seek(-len(torn), os.SEEK_END)
    file.truncate()
