"""Weights and moments of a run on disk: a folder of safetensors per save, a file per process.

torch.distributed.checkpoint writes and reads them, so that a run goes on with any number of
processes, cut or not. Its safetensors storage is used because nothing in it is pickled. Adam's
counter is the same for all weights and equals the steps done: the folder's name says it. Beside
them lie their checksums; the last two saves are kept, should the newer one be damaged.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_initialized,
)
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from unmask.errors import InputError
from unmask.files import read_object, reason_of, write_whole

NAME = "state-{:06d}"
ABOUT = "save.json"
"""Whose save it is, and the SHA-256 of its files."""
UNREADABLE = "unreadable"
MOMENTS = ("exp_avg", "exp_avg_sq")
Weights = Mapping[str, torch.nn.Parameter]


def steps(folder: Path) -> list[int]:
    """The steps of all saves, the newest first."""
    found = (re.fullmatch(r"state-(\d+)", path.name) for path in folder.iterdir())
    return sorted((int(match[1]) for match in found if match), reverse=True)


def is_of(folder: Path, run: str) -> bool:
    """Whether a save says that it is of ``run``, a hash of all that its losses depend on."""
    for step in steps(folder):
        try:
            if _about(folder / NAME.format(step)).get("run") == run:
                return True
        except InputError:
            continue
    return False


def write(
    folder: Path, trained: Weights, optimiser: torch.optim.Optimizer, step: int, run: str
) -> None:
    """Write the state after ``step`` of ``run``, then drop all but it and the one before. Every
    process has to call.

    Raises:
        InputError: it cannot be written; the last save stands.
    """
    path = folder / NAME.format(step)
    draft = path.with_suffix(".part")
    _alone(lambda: shutil.rmtree(draft, ignore_errors=True))
    try:
        with _quietly():
            writer = HuggingFaceStorageWriter(str(draft), save_distributed=True)
            save(_state(trained, optimiser), storage_writer=writer)
        names = [_names(draft)]
        if is_initialized():
            broadcast_object_list(names)
        files = _checksums(draft, names[0])
        if UNREADABLE in files.values():
            raise OSError("what was written cannot be read")
        about = json.dumps({"run": run, "files": files}).encode()
        _alone(lambda: _take(draft, path, about))
    except (OSError, SafetensorError, CheckpointException) as error:
        _alone(lambda: shutil.rmtree(draft, ignore_errors=True))
        raise InputError(
            f"{path} cannot be written ({_cause(error)}); the last save stands, make room and "
            "give the same command again"
        ) from None


def read(
    folder: Path, trained: Weights, optimiser: torch.optim.Optimizer, step: int, run: str
) -> None:
    """Fill weights and optimiser with the state after ``step``. Every process has to call, and all
    find the same fault.

    Raises:
        InputError: the save is damaged, or not of ``run``.
    """
    path = folder / NAME.format(step)
    fault = _fault(path, run)
    if fault:
        raise InputError(f"{path.name}: {fault}")
    for weight in trained.values():
        moments = {part: torch.zeros_like(weight) for part in MOMENTS}
        optimiser.state[weight] = {"step": torch.tensor(float(step)), **moments}
    try:
        with _quietly():
            reader = HuggingFaceStorageReader(str(path))
            load(_state(trained, optimiser), storage_reader=reader)
    except (OSError, SafetensorError, CheckpointException) as error:
        raise InputError(f"{path.name}: {_cause(error)}") from None


def _state(trained: Weights, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = {f"weight.{name}": weight.detach() for name, weight in trained.items()}
    for name, weight in trained.items():
        state |= {f"{part}.{name}": optimiser.state[weight][part] for part in MOMENTS}
    return state


def checked(folder: Path, step: int) -> bool:
    """Whether a save has checksums; those of earlier versions have none."""
    return (folder / NAME.format(step) / ABOUT).exists()


def _fault(path: Path, run: str) -> str:
    """What is wrong with a save, if anything."""
    found = [_claims(path, run)]
    if is_initialized():
        broadcast_object_list(found)
    [(files, fault)] = found
    sums = _checksums(path, list(files))
    damaged = [name for name, expected in files.items() if sums[name] != expected]
    return fault or (f"{damaged[0]} is damaged" if damaged else "")


def _claims(path: Path, run: str) -> tuple[dict[str, str], str]:
    """The checksums that a save brings, none if there is something else wrong with it."""
    names = _names(path)
    if not (path / ABOUT).exists():  # torch would print what it meets there
        return {}, next(filter(None, (_torn(path / name) for name in names)), "")
    try:
        about = _about(path)
    except InputError as error:
        return {}, str(error)
    files = about.get("files")
    if about.get("run") != run or not isinstance(files, dict):
        return {}, f"{ABOUT} is damaged, or of another run"
    if sorted(files) != names:
        return {}, f"its files are not those that {ABOUT} names"
    return files, ""


def _torn(path: Path) -> str:
    """Why a file cannot be opened, if so: it is cut off, say."""
    try:
        with safe_open(path, "pt"):
            return ""
    except (OSError, SafetensorError) as error:
        return f"{path.name} cannot be read ({reason_of(error)})"


def _about(path: Path) -> dict[str, Any]:
    return read_object(path / ABOUT, InputError)


def _names(path: Path) -> list[str]:
    return sorted(one.name for one in path.glob("*.safetensors"))


def _checksums(path: Path, names: list[str]) -> dict[str, str]:
    """The SHA-256 of every file; each process reads its share."""
    rank, processes = (get_rank(), get_world_size()) if is_initialized() else (0, 1)
    found = {}
    for name in names[rank::processes]:
        try:
            with (path / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:  # told as a value, or the other processes would wait for this one
            found[name] = UNREADABLE
    parts = [found]
    if is_initialized():
        parts = [{}] * processes
        all_gather_object(parts, found)
    return {name: value for part in parts for name, value in part.items()}


def _take(draft: Path, path: Path, about: bytes) -> None:
    """Make a whole draft the save that counts, and drop all but it and the one before: what bears
    its number or a higher one was damaged, and the run went on from before it."""
    write_whole(draft / ABOUT, about)
    shutil.rmtree(path, ignore_errors=True)
    draft.replace(path)
    names = [NAME.format(step) for step in steps(path.parent)]
    kept = names[names.index(path.name) :][:2]
    for other in path.parent.glob("state-*"):
        if other.name not in kept:
            shutil.rmtree(other)


def _alone(act: Callable[[], None]) -> None:
    """Let the first process do it, and the others wait."""
    if not is_initialized() or get_rank() == 0:
        act()
    if is_initialized():
        barrier()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warning that there is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _cause(error: BaseException) -> str:
    """The fault behind torch's collection of faults by process."""
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return reason_of(error)
