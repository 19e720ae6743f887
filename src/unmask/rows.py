"""Rows of a data file: JSON lines (also gzipped) or Parquet."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

from unmask.errors import InputError
from unmask.files import FAULTS, reason_of

Row = dict[str, Any]


def read(path: Path) -> Iterator[Row]:
    """The rows of ``path`` (.parquet, else JSON lines; .gz is unpacked), one at a time.

    Raises:
        InputError: the file cannot be read, or a line is no object; the message names the line.
    """
    found = _parquet(path) if path.suffix == ".parquet" else _lines(path)
    empty = True
    for row in found:
        empty = False
        yield row
    if empty:
        raise InputError(f"{path} is empty; write one JSON object a line")


def number_text(value: object) -> str | None:
    """A number as people write it: 18.0, as a column with gaps has it, is 18. None for anything
    else, a truth value and NaN among it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if value != value or value in (inf, -inf):
        return None
    return str(int(value)) if value == int(value) else str(value)


def _lines(path: Path) -> Iterator[Row]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"line {number} is no JSON object")
                yield row
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}: no valid JSON ({reason_of(error)})") from None
    except (*FAULTS, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install 'unmask[eval]'") from None
    try:
        with parquet.ParquetFile(path) as file:
            for part in file.iter_batches(batch_size=256):
                yield from part.to_pylist()
    except (OSError, ArrowException) as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from None
