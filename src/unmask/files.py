"""JSON that users and checkpoints bring, files of lines that grow, folders that one run fills."""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import Any

from unmask.errors import InputError, UnmaskError

FAULTS = (OSError, UnicodeDecodeError, ValueError, RecursionError)
"""What reading a file and its JSON can raise: endless numbers and nests among it."""
LOCK = ".lock"


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
        _lock(file.fileno(), path, "file")
        yield file


def claim(folder: Path, owner: object) -> Callable[[], object]:
    """Let no other run write to ``folder`` until the result is called or ``owner`` dies. A file
    beside what is written is locked, for that itself may be replaced.

    Raises:
        InputError: the folder cannot be written, or another run does.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {reason_of(error)}") from None
    release = weakref.finalize(owner, os.close, lock)
    _lock(lock, folder, "folder")
    return release


def _lock(file: int, path: Path, kind: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"out={str(path)!r} is being written by another run; wait or give another {kind}"
        ) from None
    except OSError as error:
        raise InputError(
            f"out={str(path)!r} cannot be locked ({reason_of(error)}); give a {kind} on a disk "
            "that has locks"
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write all of ``content`` or nothing; it is on the disk when this returns."""
    draft = path.with_suffix(".part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def whole_lines(file: BufferedRandom) -> tuple[list[bytes], bytes]:
    """The lines of a growing file, and what a killed run left half written of one more."""
    *lines, torn = file.read().split(b"\n")
    return lines, torn


def cut_off(file: BufferedRandom, torn: bytes) -> None:
    """Go on where the last whole line ends. Only once it is known whose file it is."""
    file.seek(-len(torn), os.SEEK_END)
    file.truncate()
