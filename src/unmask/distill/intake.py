"""How answers get into the folder of a harvest: by one writer, who mends what is damaged there.

A shard says itself what it is. So whatever happened to manifest and shards, what is whole counts
again, and the rest is answered again; nobody has to edit a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from unmask.distill.shards import (
    MANIFEST,
    SHARDS,
    Line,
    Sample,
    digest_of,
    foreign,
    head_of,
    line_of,
    mark_of,
    packed,
    settings_in,
    shard_in,
)
from unmask.errors import InputError
from unmask.files import claim, reason_of, write_whole

LOG = logging.getLogger(__name__)
UNREADABLE = (OSError, SafetensorError, ValueError, KeyError, TypeError)
"""What reading a file that ends in .safetensors can raise, whatever is in it."""


class Shards:
    """A folder of shards, for as long as this lives nobody else's. A shard counts once its manifest
    line is there."""

    def __init__(
        self, folder: Path, settings: dict[str, Any], tell: Callable[[str], object] = LOG.warning
    ) -> None:
        """Open or begin ``folder``, and mend it; ``settings`` say what the samples depend on.
        ``tell`` is told what was damaged.

        Raises:
            InputError: the folder holds something else, samples of other settings, or is being
                written by another run.
        """
        self.folder = folder
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._tell = tell
        try:
            folder.mkdir(parents=True, exist_ok=True)
            claim(folder, self)
            path = folder / MANIFEST
            self._lines = self._mended(path.read_bytes() if path.exists() else b"")
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {reason_of(error)}") from None

    def done(self) -> set[int]:
        """Indices of the samples that are stored."""
        return {index for line in self._lines for index in line["indices"]}

    def write(self, samples: Sequence[Sample]) -> None:
        """Store one shard: the file first, then the line that makes it count."""
        # Past every number in use: files that are damaged stay where they are.
        number = 1 + max((_number(path) for path in self.folder.glob("shard-*.*")), default=-1)
        name = f"shard-{number:05d}.safetensors"
        content = packed(samples, mark_of(self._settings))
        line = line_of(name, content, [sample.index for sample in samples])
        try:
            write_whole(self.folder / name, content)
            with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
                print(json.dumps(line), file=file, flush=True)
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {reason_of(error)}") from None
        self._lines.append(line)

    def _mended(self, content: bytes) -> list[Line]:
        """The shards that count; the manifest is written anew if it does not say just this."""
        whole, newline, torn = content.rpartition(b"\n")
        first, *others = whole.split(b"\n")
        known = bool(newline) and self._known(first)
        listed = [shard_in(line) for line in others]
        kept, lost = self._sound([line for line in listed if line], known=known)
        if known and not torn and kept == listed:
            return kept
        if not (known or kept):
            self._check_beginning(first if newline else torn, lost=bool(newline and lost))
        if None in listed or (not known and (newline or kept or lost)):
            lost = [f"{MANIFEST} was damaged or gone", *lost]
        head = first if known else json.dumps(head_of(self._settings)).encode()
        lines = [json.dumps(line).encode() for line in kept]
        write_whole(self.folder / MANIFEST, b"\n".join([head, *lines, b""]))
        if lost:
            self._tell(
                f"{self.folder}: {'; '.join(lost)}. "
                "What is whole counts, the rest is answered again"
            )
        return kept

    def _known(self, first: bytes) -> bool:
        """Whether a manifest's first line says that the samples are ours; if not, it is damaged.

        Raises:
            InputError: it says that they are of other settings.
        """
        found = settings_in(first)
        if found is not None and found != self._settings:
            names = sorted({*self._settings, *found})
            changed = [name for name in names if self._settings.get(name) != found.get(name)]
            raise InputError(
                f"{self.folder} was harvested with other settings ({', '.join(changed)}); "
                "give another folder or the same settings"
            )
        return found is not None

    def _check_beginning(self, first: bytes, *, lost: bool) -> None:
        """Nothing in a folder says that it is of this harvest: may it be begun anew?

        Raises:
            InputError: it is of something else, or of nobody knows what.
        """
        fault = foreign(self.folder, first)
        if not fault and lost:
            fault = (
                f"{self.folder / MANIFEST} is damaged, and no shard says what it was harvested "
                "with; give another folder"
            )
        if fault:
            raise InputError(fault)

    def _sound(self, listed: Sequence[Line], *, known: bool) -> tuple[list[Line], list[str]]:
        """The lines of shards that count, and what is wrong with others. A line is believed if the
        manifest is ``known`` to be ours; a shard that none speaks for, if it says that it is ours.

        Raises:
            InputError: nothing but shards speaks for itself here, and one is of other settings.
        """
        kept, wrong, taken = [], [], set[int]()
        lines = {line["shard"]: line for line in listed}
        files = [path.name for path in sorted(self.folder.glob(SHARDS), key=_number)]
        for name in dict.fromkeys([*lines, *files]):
            line: Line | str = lines.get(name, "")
            if not known or isinstance(line, str) or not _agrees(self.folder, line):
                line = _itself(self.folder / name, mark_of(self._settings))
            if line == OTHER and not known:
                raise InputError(f"{self.folder / name} {OTHER}; give another folder")
            if isinstance(line, str):
                fault = line
            elif len(taken.union(line["indices"])) < len(taken) + len(line["indices"]):
                fault = "has samples that stand elsewhere as well"
            else:
                kept.append(line)
                taken.update(line["indices"])
                continue
            if name in lines or not known:
                wrong.append(f"{name} {fault}")
        return kept, wrong


OTHER = "was harvested with other settings"


def _agrees(folder: Path, line: Line) -> bool:
    """Whether a shard is what its line says."""
    try:
        content = (folder / line["shard"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != line["sha256"]:
            return False
        return bool(load(content)["index"].tolist() == line["indices"])
    except UNREADABLE:
        return False


def _itself(path: Path, mark: str) -> Line | str:
    """The line of a shard that says itself that it is whole and of the settings with ``mark``;
    else what is wrong with it."""
    try:
        content = path.read_bytes()
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
        tensors = load(content)
        if about and about["check"] != digest_of(tensors, about["settings"]):
            return "is damaged"
        if about and about["settings"] != mark:
            return OTHER
        line = line_of(path.name, content, tensors["index"].tolist())
    except FileNotFoundError:
        return "is gone"
    except UNREADABLE:
        return "is damaged"
    return line if about else "is not what the manifest says"


def _number(path: Path) -> int:
    text = path.stem.removeprefix("shard-")
    return int(text) if text.isdecimal() else -1
