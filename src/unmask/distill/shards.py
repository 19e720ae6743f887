"""Harvested trajectories on disk: shards of safetensors and a manifest that lists what is whole.

A d3LLM trajectory stores the whole text after every forward; its information is one number per
position, the forward at which it was written. So a sample is its ids and births: two bytes per
position where the published layout takes four times the square of the length.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from unmask.errors import InputError
from unmask.files import FAULTS, reason_of

MANIFEST = "manifest.jsonl"
FORMAT = "unmask-harvest-1"


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


class Shards:
    """A folder of shards. A shard counts once its manifest line is there."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Open or begin ``folder``; ``settings`` say what the samples depend on.

        Raises:
            InputError: the folder holds something else, or samples of other settings.
        """
        self.folder = folder
        self._head = {"format": FORMAT, "settings": settings}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / MANIFEST).exists():
                self._append(self._head)
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {reason_of(error)}") from None
        head, self._lines = read_manifest(folder)
        if head != self._head:
            changed = sorted(
                name
                for name in {*settings, *head["settings"]}
                if settings.get(name) != head["settings"].get(name)
            )
            raise InputError(
                f"{folder} was harvested with other settings ({', '.join(changed)}); "
                "give another folder or the same settings"
            )

    def done(self) -> set[int]:
        """Indices of the samples that are stored."""
        return {index for line in self._lines for index in line["indices"]}

    def write(self, samples: Sequence[Sample]) -> None:
        """Store one shard: the file first, then the line that makes it count."""
        # Past every number in use: a damaged shard's line may have been taken out by hand.
        used = [path.stem.removeprefix("shard-") for path in self.folder.glob("shard-*.*")]
        number = 1 + max((int(text) for text in used if text.isdecimal()), default=-1)
        name = f"shard-{number:05d}.safetensors"
        columns = zip(COLUMNS, KINDS, strict=True)
        tensors: dict[str, NDArray[Any]] = {
            column: np.array([getattr(sample, column) for sample in samples], kind)
            for column, kind in columns
        }
        tensors["length"] = np.array([len(sample.tokens_L) for sample in samples], np.int32)
        tensors["tokens"] = np.concatenate([sample.tokens_L for sample in samples])
        tensors["born"] = np.concatenate([sample.born_L for sample in samples])
        content = save(tensors)
        line = {
            "shard": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "indices": [sample.index for sample in samples],
        }
        try:
            _replace(self.folder / name, content)
            self._append(line)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {reason_of(error)}") from None
        self._lines.append(line)

    def _append(self, line: dict[str, Any]) -> None:
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
            print(json.dumps(line), file=file, flush=True)
            os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    """Write all of ``content`` or nothing."""
    draft = path.with_suffix(".part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_manifest(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings of a harvest and its shards. A half-written last line is cut off.

    Raises:
        InputError: there is no manifest, or it is none of ours.
    """
    path = folder / MANIFEST
    try:
        *whole, last = path.read_text(encoding="utf-8").split("\n")
        head, *lines = (json.loads(line) for line in whole)
        if head["format"] != FORMAT or not all(
            {"shard", "indices"} <= line.keys() for line in lines
        ):
            raise ValueError(f"its format is not {FORMAT}")
        if last:
            path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    except (*FAULTS, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no manifest of a harvest ({reason_of(error)}); give another folder"
        ) from None
    return head, lines


def read(folder: Path) -> Iterator[Sample]:
    """All samples of a harvest, shard by shard.

    Raises:
        InputError: a shard is missing or is not what the manifest says.
    """
    for line in read_manifest(folder)[1]:
        path = folder / line["shard"]
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != line.get("sha256"):
                raise InputError(f"{path} is damaged; delete its manifest line and harvest again")
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read: {reason_of(error)}") from None
        ends = tensors["length"].cumsum()
        for row, stop in enumerate(ends.tolist()):
            start = stop - int(tensors["length"][row])
            index, prompt, forwards, counted, correct, heat = (
                tensors[column][row].item() for column in COLUMNS
            )
            tokens, born = tensors["tokens"][start:stop], tensors["born"][start:stop]
            yield Sample(index, prompt, tokens, born, forwards, counted, correct, heat)
