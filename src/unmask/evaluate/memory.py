"""The most memory that a piece of work takes on top of what is in use before it."""

from __future__ import annotations

import gc
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

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        elif RESET.exists():
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

    @staticmethod
    def _now() -> int:
        if torch.cuda.is_available():
            return torch.cuda.memory_allocated()
        return _status("VmRSS") if STATUS.exists() else _mark()

    @staticmethod
    def _peak() -> int:
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
        return _status("VmHWM") if STATUS.exists() else _mark()


def _status(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _mark() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
