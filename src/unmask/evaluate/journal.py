"""A file of records that grows: what it has is not answered again, a torn last line is cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from unmask.errors import InputError
from unmask.evaluate.record import Record, of_row
from unmask.files import FAULTS, cut_off, growing, reason_of, whole_lines


class Journal:
    """Records of a file, and a pen."""

    def __init__(self, file: BufferedRandom, records: list[Record]) -> None:
        self._file = file
        self.records = records
        self.keys = {record.key for record in records}

    def write(self, record: Record) -> None:
        """Append; the system has it when this returns, so that it outlives this process."""
        self._file.write(record.line().encode() + b"\n")
        self._file.flush()
        self.records.append(record)
        self.keys.add(record.key)


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """The journal at ``path``, made if it is not there; nobody else may write to it meanwhile.

    Raises:
        InputError: the file cannot be opened, is in use, or holds something else.
    """
    if path.suffix in (".gz", ".parquet"):
        raise InputError(f"out={str(path)!r} would be read as another format; end it in .jsonl")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={str(path)!r} cannot be written: {reason_of(error)}") from None
    with growing(path) as file:
        yield Journal(file, _whole(path, file))


def _whole(path: Path, file: BufferedRandom) -> list[Record]:
    """The records; what a killed run left half written goes."""
    lines, torn = whole_lines(file)
    found = [_record(path, number, line) for number, line in enumerate(lines, 1)]
    if torn and not lines and not torn.startswith(b'{"task": '):
        raise InputError(f"{path} holds no records of unmask eval; give another file")
    cut_off(file, torn)
    return found


def _record(path: Path, number: int, line: bytes) -> Record:
    where = f"{path}, line {number}"
    try:
        row = json.loads(line)
    except FAULTS as error:
        raise InputError(f"{where}: no valid JSON ({reason_of(error)})") from None
    if not isinstance(row, dict):
        raise InputError(f"{where} is no record of unmask eval; give another file")
    return of_row(row, where)
