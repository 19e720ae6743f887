"""AUP, accuracy under parallelism: the area under the (tokens per forward, accuracy) curve, in
which lost accuracy weighs more than its share (d3LLM, section 4)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

ALPHA = 3.0
BAND = 5.0
"""Points of accuracy below the slowest setting from which on a setting does not count."""


@dataclass(frozen=True)
class Area:
    """``value``; ``best``: the accuracy that weights refer to; ``dropped``: points out of band."""

    value: float
    best: float
    dropped: int


def aup(
    points: Iterable[tuple[float, float]], best: float | None = None, alpha: float = ALPHA
) -> Area:
    """Area of (tokens per forward, accuracy in percent) points, in any order.

    ``best``: highest accuracy of all methods compared, as the paper has it; None takes the curve's
    own, so that the value does not depend on who else is in the table. Where the reference stops
    at a fastest point out of the band, that point is dropped like any other.

    Raises:
        ValueError: there is no point, or one without a forward.
    """
    curve = sorted(points, key=lambda point: point[0])
    if not curve or curve[0][0] <= 0:
        raise ValueError("AUP needs at least one point, all above 0 tokens per forward")
    least = curve[0][1] - BAND
    kept = [point for point in curve if point[1] >= least]
    top = max(accuracy for _, accuracy in curve) if best is None else best
    value = kept[0][0] * kept[0][1]
    for (left, low), (right, high) in itertools.pairwise(kept):
        heights = low * weight(low, top, alpha) + high * weight(high, top, alpha)
        value += 0.5 * (right - left) * heights
    return Area(value, top, len(curve) - len(kept))


def weight(accuracy: float, best: float, alpha: float = ALPHA) -> float:
    """exp(-alpha (1 - accuracy / best)), at most 1; 0 where nobody is right."""
    if best <= 0:
        return 0.0
    return min(math.exp(-alpha * (1 - accuracy / best)), 1.0)
