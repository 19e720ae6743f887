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
START = 1.1
"""Most tokens per forward at which a curve may start for its area to be compared with others.

The area takes what the slowest setting does for what one token per forward does: all up to there
counts in full, and the band hangs on it. So whoever leaves the slow setting out gains twice. A
decoder that writes one token a forward has 1 or, with what it writes behind the end, less; a tenth
more is left for the odd forward in which a careful bar lets several tokens pass.
"""


@dataclass(frozen=True)
class Area:
    """``value``; ``best``: the accuracy that weights refer to; ``dropped``: points out of band;
    ``start``: tokens per forward of the slowest point."""

    value: float
    best: float
    dropped: int
    start: float

    @property
    def comparable(self) -> bool:
        """Whether the curve starts at one token per forward, or near enough."""
        return comparable(self.start)


def comparable(start: float) -> bool:
    """Whether the area of a curve that starts at ``start`` can be compared with others."""
    return start <= START


def aup(
    points: Iterable[tuple[float, float]], best: float | None = None, alpha: float = ALPHA
) -> Area:
    """Area of (tokens per forward, accuracy in percent) points, in any order.

    ``best``: highest accuracy of all methods compared, as the paper has it; None takes the curve's
    own, so that the value does not depend on who else is in the table. Where the reference stops
    at a fastest point out of the band, that point is dropped like any other.

    Raises:
        ValueError: there is no point, or a number that cannot be.
    """
    # Of points of one rate the most accurate first: it sets the band, whatever order they came in.
    curve = sorted(points, key=lambda point: (point[0], -point[1]))
    _check(curve, best, alpha)
    least = curve[0][1] - BAND
    kept = [point for point in curve if point[1] >= least]
    top = max(accuracy for _, accuracy in curve) if best is None else best
    value = kept[0][0] * kept[0][1]
    for (left, low), (right, high) in itertools.pairwise(kept):
        heights = low * weight(low, top, alpha) + high * weight(high, top, alpha)
        value += 0.5 * (right - left) * heights
    return Area(value, top, len(curve) - len(kept), curve[0][0])


def weight(accuracy: float, best: float, alpha: float = ALPHA) -> float:
    """exp(-alpha (1 - accuracy / best)), at most 1; 0 where nobody is right."""
    if best <= 0:
        return 0.0
    return math.exp(min(-alpha * (1 - accuracy / best), 0.0))


def _check(curve: list[tuple[float, float]], best: float | None, alpha: float) -> None:
    if not curve:
        raise ValueError("AUP needs at least one point")
    for rate, accuracy in curve:
        if not (math.isfinite(rate) and rate > 0 and 0 <= accuracy <= 100):
            raise ValueError(
                f"AUP has no use for the point ({rate}, {accuracy}); give tokens per forward above "
                "0 and an accuracy from 0 to 100"
            )
    if best is not None and not 0 <= best <= 100:
        raise ValueError(f"best={best} is no accuracy; give one from 0 to 100, or None")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha} is not allowed; give a number of at least 0")
