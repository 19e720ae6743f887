"""The most memory that a piece of work takes on top of what is in use before it."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from pathlib import Path
from types import TracebackType

import torch

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """A context manager; ``bytes`` holds the figure after it.

    On a GPU the allocator's own figure. On Linux the kernel's high-water mark of resident memory,
    which can be reset. Elsewhere the growth of the process's mark, which misses peaks below an
    earlier one.
    """

    bytes = 0

    def __init__(self, device: torch.device) -> None:
        self._device, self._gpu = device, device.type == "cuda"
        self._marks = not self._gpu and os.access(RESET, os.W_OK)

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if self._gpu:
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._marks:
            _give_back()  # what an earlier pass freed would hide the growth of this one
            RESET.write_text("5")
        self._before = self._now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bytes = max(0, self._peak() - self._before)

    def _now(self) -> int:
        if self._gpu:
            return torch.cuda.memory_allocated(self._device)
        return _status("VmRSS") if self._marks else mark()

    def _peak(self) -> int:
        if self._gpu:
            return torch.cuda.max_memory_allocated(self._device)
        return _status("VmHWM") if self._marks else mark()


def _give_back() -> None:
    """Return freed memory to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _status(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def peak(device: torch.device) -> int:
    """Most memory in use so far, in bytes: of the GPU, or resident memory of this process."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else mark()


def mark() -> int:
    """Most resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
