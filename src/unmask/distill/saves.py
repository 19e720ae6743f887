"""Weights and moments of a run on disk: a folder of safetensors per save, a file per process.

torch.distributed.checkpoint writes and reads them, so that a run goes on with any number of
processes, cut or not. Its safetensors storage is used because nothing in it is pickled. Adam's
counter is the same for all weights and equals the steps done: the folder's name says it.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed import barrier, get_rank, is_initialized
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from unmask.errors import InputError
from unmask.files import reason_of

NAME = "state-{:06d}"
MOMENTS = ("exp_avg", "exp_avg_sq")
Weights = Mapping[str, torch.nn.Parameter]


def last(folder: Path) -> int:
    """The step of the newest save that is whole; 0 if there is none."""
    found = (re.fullmatch(r"state-(\d+)", path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0)


def write(folder: Path, trained: Weights, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write the state after ``step``, then drop older ones. Every process has to call.

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
        _alone(lambda: _take(draft, path))
    except (OSError, SafetensorError, CheckpointException) as error:
        _alone(lambda: shutil.rmtree(draft, ignore_errors=True))
        raise InputError(
            f"{path} cannot be written ({_cause(error)}); the last save stands, make room and "
            "give the same command again"
        ) from None


def read(folder: Path, trained: Weights, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Fill weights and optimiser with the state after ``step``.

    Raises:
        InputError: the save is damaged.
    """
    path = folder / NAME.format(step)
    for weight in trained.values():
        moments = {part: torch.zeros_like(weight) for part in MOMENTS}
        optimiser.state[weight] = {"step": torch.tensor(float(step)), **moments}
    try:
        with _quietly():
            reader = HuggingFaceStorageReader(str(path))
            load(_state(trained, optimiser), storage_reader=reader)
    except (OSError, SafetensorError, CheckpointException) as error:
        raise InputError(
            f"{path} cannot be read ({_cause(error)}); delete it to begin again"
        ) from None


def _state(trained: Weights, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = {f"weight.{name}": weight.detach() for name, weight in trained.items()}
    for name, weight in trained.items():
        state |= {f"{part}.{name}": optimiser.state[weight][part] for part in MOMENTS}
    return state


def _take(draft: Path, path: Path) -> None:
    """Make a whole draft the save that counts."""
    draft.replace(path)
    for other in path.parent.glob("state-*"):
        if other != path:
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
