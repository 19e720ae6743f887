"""Harvested trajectories on disk: shards of safetensors and a manifest that lists what is whole.

A d3LLM trajectory stores the whole text after every forward; its information is one number per
position, the forward at which it was written. So a sample is its ids and births: two bytes per
position where the published layout takes four times the square of the length.

Everything here reads. `unmask.distill.intake` writes, and mends what is damaged.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from unmask.errors import InputError
from unmask.files import FAULTS, reason_of

MANIFEST, SHARDS = "manifest.jsonl", "shard-*.safetensors"
FORMAT = "unmask-harvest-1"
OPENING = b'{"format": "unmask-harvest-'
AGAIN = "give its unmask harvest command again, which mends it"
Line = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """One answer of the teacher.

    ``tokens_L`` and ``born_L`` (forward of writing, 0 for the prompt) cover prompt and answer;
    ``correct`` is 1, 0 or -1 (nobody checked); ``temperature`` is that of the attempt kept.
    """

    index: int
    prompt_length: int
    tokens_L: NDArray[np.uint32]
    born_L: NDArray[np.uint16]
    forwards: int
    counted: int
    correct: int
    temperature: float


COLUMNS = ("index", "prompt_length", "forwards", "counted", "correct", "temperature")
KINDS = (np.int64, np.int32, np.int32, np.int32, np.int8, np.float32)
Tensors = Mapping[str, NDArray[Any]]


def packed(samples: Sequence[Sample], settings: str) -> bytes:
    """A shard. It says itself what it is (``settings``: their mark) and whether it is whole, so
    that a damaged manifest loses nothing."""
    columns = zip(COLUMNS, KINDS, strict=True)
    tensors: dict[str, NDArray[Any]] = {
        column: np.array([getattr(sample, column) for sample in samples], kind)
        for column, kind in columns
    }
    tensors["length"] = np.array([len(sample.tokens_L) for sample in samples], np.int32)
    tensors["tokens"] = np.concatenate([sample.tokens_L for sample in samples])
    tensors["born"] = np.concatenate([sample.born_L for sample in samples])
    return save(tensors, {"settings": settings, "check": digest_of(tensors, settings)})


def digest_of(tensors: Tensors, settings: str) -> str:
    """A hash of all that is in a shard."""
    found = hashlib.sha256(settings.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tensor.shape};".encode())
        found.update(tensor.tobytes())
    return found.hexdigest()


def line_of(name: str, content: bytes, indices: list[int]) -> Line:
    """What makes a shard count."""
    return {"shard": name, "sha256": hashlib.sha256(content).hexdigest(), "indices": indices}


def mark_of(settings: object) -> str:
    """A short hash of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Manifest:
    """What a harvest says of itself at one moment. ``whole``: the bytes of its whole lines; half a
    line behind them belongs to a writer that is at it, or was killed."""

    folder: Path
    settings: dict[str, Any]
    lines: tuple[Line, ...]
    whole: bytes

    @property
    def digest(self) -> str:
        """A hash of all that it lists."""
        return hashlib.sha256(self.whole).hexdigest()


def head_of(settings: dict[str, Any]) -> Line:
    """The first line of a manifest."""
    return {"format": FORMAT, "settings": settings, "check": mark_of(settings)}


def settings_in(line: bytes) -> dict[str, Any] | None:
    """The settings in a first line; None if it is damaged or of something else. (Earlier versions
    wrote no check.)"""
    try:
        head = json.loads(line)
        settings = head["settings"]
        whole = head.keys() <= {"format", "settings", "check"} and isinstance(settings, dict)
        if whole and head["format"] == FORMAT and head.get("check") in (None, mark_of(settings)):
            return dict(settings)
    except (*FAULTS, KeyError, TypeError, AttributeError):
        pass
    return None


def foreign(folder: Path, line: bytes) -> str:
    """Why a damaged first line is that of something else; nothing if it is of a harvest."""
    ours = line.startswith(OPENING) or OPENING.startswith(line) or any(folder.glob(SHARDS))
    path = folder / MANIFEST
    return "" if ours else f"{path} is no manifest of a harvest; give another folder"


def shard_in(line: bytes) -> Line | None:
    """A further line; None if it is damaged."""
    try:
        found = json.loads(line)
        indices = found["indices"]
        whole = (
            found.keys() == {"shard", "sha256", "indices"}
            and re.fullmatch(r"shard-\d+\.safetensors", found["shard"]) is not None
            and all(type(index) is int for index in indices)
        )
    except (*FAULTS, KeyError, TypeError, AttributeError):
        return None
    return found if whole else None


def read_manifest(folder: Path) -> Manifest:
    """What ``folder`` holds now. A half-written last line does not count.

    Raises:
        InputError: there is no manifest, it is none of ours, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        whole, newline, torn = path.read_bytes().rpartition(b"\n")
    except OSError as error:
        mend = AGAIN if any(folder.glob(SHARDS)) else "give a folder of unmask harvest"
        raise InputError(f"{path} cannot be read ({reason_of(error)}); {mend}") from None
    first, *others = whole.split(b"\n")
    settings = settings_in(first) if newline else None
    if settings is None:
        fault = f"{path} is {'damaged' if newline else 'empty'}; {AGAIN}"
        raise InputError(foreign(folder, first if newline else torn) or fault)
    lines = []
    for number, line in enumerate(others, 2):
        found = shard_in(line)
        if found is None:
            raise InputError(f"{path}, line {number} is damaged; {AGAIN}")
        lines.append(found)
    return Manifest(folder, settings, tuple(lines), whole + newline)


def read(folder: Path) -> Iterator[Sample]:
    """All samples of a harvest, shard by shard.

    Raises:
        InputError: a shard is missing or is not what the manifest says, or a sample stands there
            twice.
    """
    return samples_of(read_manifest(folder))


def samples_of(manifest: Manifest) -> Iterator[Sample]:
    """The samples that ``manifest`` lists; raises as `read` does."""
    places: dict[int, str] = {}
    for line in manifest.lines:
        name, path = line["shard"], manifest.folder / line["shard"]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({reason_of(error)}); {AGAIN}") from None
        if hashlib.sha256(content).hexdigest() != line["sha256"]:
            raise InputError(f"{path} is damaged; {AGAIN}")
        tensors = load(content)
        if tensors["index"].tolist() != line["indices"]:
            raise InputError(f"{path} holds other samples than {MANIFEST} says; {AGAIN}")
        for index in line["indices"]:
            if index in places:
                raise InputError(
                    f"{manifest.folder} has sample {index} twice, in {places[index]} and {name}: "
                    f"two harvests wrote to it; {AGAIN}"
                )
            places[index] = name
        yield from _unpacked(tensors)


def _unpacked(tensors: Tensors) -> Iterator[Sample]:
    ends = tensors["length"].cumsum()
    for row, stop in enumerate(ends.tolist()):
        start = stop - int(tensors["length"][row])
        index, prompt, forwards, counted, correct, heat = (
            tensors[column][row].item() for column in COLUMNS
        )
        tokens, born = tensors["tokens"][start:stop], tensors["born"][start:stop]
        yield Sample(index, prompt, tokens, born, forwards, counted, correct, heat)
