"""How hard the next example is: mask ratio and window width over the run (d3LLM, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence


def width_at(widths: Sequence[int], epoch: float) -> int:
    """Window width at a (fractional) epoch: linear between the entries, then the last one."""
    number = min(int(epoch), len(widths) - 1)
    if number == len(widths) - 1:
        return widths[number]
    return int(widths[number] + (epoch - number) * (widths[number + 1] - widths[number]))


def ratio_floor(low: float, high: float, progress: float) -> float:
    """Least mask ratio at ``progress`` of the run, rising from ``low`` to ``high``. The ratio of
    an example is uniform between it and ``high``."""
    return low + min(progress, 1.0) * (high - low)
