"""How sure a figure is: Wilson's interval for shares, the percentile bootstrap for everything else.

Wilson, JASA 22 (1927), 209-212: keeps near its level at shares near 0 and 1, where the usual
plus-minus does not. Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
QUANTILES = (2.5, 97.5)
NORMAL = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
CELLS = 2**21
"""Numbers gathered at once: bounds the memory, does not change the draws' distribution."""


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; None where its source does not tell."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Interval:
        """In another unit."""
        if self.low is None or self.high is None:
            return Interval(self.value * factor)
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def wilson(successes: int, trials: int) -> Interval:
    """The share of successes, 0 to 1.

    Raises:
        ValueError: no trials, or not between 0 and ``trials`` successes.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials have no share")
    share, weight = successes / trials, NORMAL**2 / trials
    middle = (share + weight / 2) / (1 + weight)
    half = NORMAL * math.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return Interval(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def resampled(rows_NK: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Sums [draws, K] over rows drawn with replacement.

    The draws hang on N and ``seed`` only. So two sets of answers to the same examples, in the same
    order, are resampled alike, which is what makes a comparison of them paired.
    """
    count = len(rows_NK)
    generator = np.random.default_rng(seed)
    sums = np.empty((DRAWS, rows_NK.shape[1]))
    chunk = max(1, CELLS // max(count, 1))
    for start in range(0, DRAWS, chunk):
        stop = min(start + chunk, DRAWS)
        picks = generator.integers(count, size=(stop - start, count))
        for column in range(rows_NK.shape[1]):
            sums[start:stop, column] = rows_NK[:, column][picks].sum(axis=1)
    return sums


def of_draws(value: float, draws: NDArray[np.float64]) -> Interval:
    """``value`` with the middle 95 % of its ``draws``; draws that are no number are left out."""
    real = draws[np.isfinite(draws)]
    if not len(real):
        return Interval(value)
    low, high = np.percentile(real, QUANTILES)
    return Interval(value, float(low), float(high))


def ratio(
    above: NDArray[np.float64], below: NDArray[np.float64], draws_D2: NDArray[np.float64]
) -> Interval | None:
    """Sum of ``above`` per sum of ``below``; None where there is nothing below."""
    total = float(below.sum())
    if total <= 0:
        return None
    return of_draws(float(above.sum()) / total, divided(draws_D2[:, 0], draws_D2[:, 1]))


def divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Element by element; no number where there is nothing below."""
    found = np.full(len(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
