"""What one forward pass did to one canvas. Streams, drawings and counts are folds over these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Commit(NamedTuple):
    """One forward of one row.

    ``positions`` are absolute; ``confidences`` are the model's probabilities of the tokens written.
    ``fed`` counts positions that went through the model, ``read`` those only attended to.
    """

    row: int
    step: int
    positions: NDArray[np.intp]
    tokens: NDArray[np.int64]
    confidences: NDArray[np.float64]
    fed: int
    read: int
