"""One answer of an evaluation and all that is known about it: a line of JSON.

Every figure, table and plot is computed from these lines and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unmask import rows
from unmask.errors import InputError
from unmask.files import FAULTS

IDENTITY = (
    "task", "index", "question", "style", "mode", "method", "model", "weights", "preset",
    "batch_size", "dtype", "device", "threads", "settings", "swept",
)  # fmt: skip
"""Fields that a repeated answer shares."""


@dataclass(frozen=True)
class Record:
    """An answer.

    What was asked: ``task``, ``index`` (number of the example), ``question`` (digest of its wording
    and reference), ``style``, ``mode`` ("generate", or
    "likelihood" where choices were ranked), ``prompt_tokens`` and how many more were cut off at the
    left (``left_out``).
    Who answered how: ``method`` (label of a curve), ``model``, ``weights`` (fingerprint),
    ``preset``, ``settings`` (all of them, flat), ``swept`` (those that the sweep varied),
    ``batch_size``, ``dtype``, ``device``, ``threads``, ``versions``, ``commit`` of the source tree
    if it was one.
    What came: ``text`` up to the end token or stop, ``scores``, ``right`` (the first of them, which
    stands for accuracy, 0 to 1).
    What it cost: ``tokens`` up to and including the first end token (or the token that completed a
    stop string), ``forwards``, of which ``refresh_forwards`` read nothing from a cache and
    ``cached_forwards`` did, ``fed_positions`` sent through the model, ``latency`` (seconds from its
    first forward to the end of its last) and ``seconds`` (its share of the time of these forwards,
    which rows of a batch split evenly; sums to the wall time on a warm model).
    """

    task: str
    index: int
    question: str
    style: str
    mode: str
    prompt_tokens: int
    left_out: int
    method: str
    model: str
    weights: str
    preset: str
    settings: Mapping[str, Any]
    swept: Mapping[str, Any]
    batch_size: int
    dtype: str
    device: str
    threads: int
    versions: Mapping[str, str]
    commit: str | None
    text: str
    scores: Mapping[str, float]
    right: float
    tokens: int
    forwards: int
    refresh_forwards: int
    cached_forwards: int
    fed_positions: int
    latency: float
    seconds: float

    @property
    def key(self) -> str:
        """Tells one answer from all others: what was asked, and who answered how."""
        return key_of({name: getattr(self, name) for name in IDENTITY})

    @property
    def metric(self) -> str:
        """The name of the score that stands for accuracy."""
        return next(iter(self.scores), "accuracy")

    def line(self) -> str:
        """As JSON, without a line break."""
        return json.dumps(asdict(self), ensure_ascii=False)


def key_of(fields: Mapping[str, Any]) -> str:
    """`Record.key` of the fields named in ``IDENTITY``."""
    return json.dumps([fields[name] for name in IDENTITY], sort_keys=True)


COUNTS = (
    "index", "prompt_tokens", "left_out", "right", "tokens", "forwards", "refresh_forwards",
    "cached_forwards", "fed_positions", "latency", "seconds",
)  # fmt: skip
"""Fields that are never negative, and numbers."""
MOST = 10**15
"""Of any of them; their sums have to be numbers, too."""
NAMES = tuple(field.name for field in fields(Record))
KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "str | None": (str, type(None)),
}
"""What a line may hold for a field of that type; for all others, an object."""


def read(path: Path) -> Iterator[Record]:
    """The records of a file (JSON lines, also gzipped), or of what `unmask eval --harness` wrote.

    Raises:
        InputError: a line is no record; the message names it.
    """
    for number, row in enumerate(_rows(path), 1):
        if "results" not in row:
            yield of_row(row, f"{path}, line {number}")
            continue
        for at, own in enumerate(_of_results(row, path), 1):
            yield of_row(own, f"{path}, record {at}")


def _rows(path: Path) -> Iterator[rows.Row]:
    """Its lines; a results file of lm-eval's own is one object in many lines."""
    try:
        whole = json.loads(path.read_text("utf-8-sig")) if path.suffix == ".json" else None
    except FAULTS:
        whole = None  # lines after all; whoever reads them says what is wrong
    return iter([whole]) if isinstance(whole, dict) else rows.read(path)


def _of_results(results: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    found = results.get("records")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(
            f"{path} holds results of lm-eval without tokens per forward; run its tasks by "
            "unmask eval --harness NAME --out FILE, and give that file"
        )
    if not found:
        raise InputError(
            f"{path} has no tokens per forward: of its tasks none was generated and has a score "
            "from 0 to 1"
        )
    return found


def of_row(row: Mapping[str, Any], where: str) -> Record:
    """A record of a parsed line.

    Raises:
        InputError: it is none; ``where`` it stands goes into the message.
    """
    if odd := set(NAMES) ^ row.keys():
        raise InputError(
            f"{where} is no record of unmask eval: field {min(odd)!r} is missing or unknown"
        )
    for field in fields(Record):
        value, kinds = row[field.name], KINDS.get(str(field.type), (dict,))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InputError(
                f"{where} is no record of unmask eval: {field.name}={value!r} is no {field.type}"
            )
    found = Record(**row)
    for name in COUNTS:
        value = getattr(found, name)
        if not 0 <= value <= MOST:  # nor is NaN
            raise InputError(
                f"{where} is no record of unmask eval: {name}={value} is no count, score or time"
            )
    if found.right > 1:
        raise InputError(f"{where} is no record of unmask eval: right={found.right} is above 1")
    return found
