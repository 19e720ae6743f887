"""Keys and values of many canvases, preallocated and addressed by absolute position.

Keys are stored after the rotary embedding, so reading them costs nothing. Positions are absolute:
there is no cache length that could drift. Shape legend: N layers, B rows, Q fed positions,
L canvas positions, H key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unmask.transfer import send


class StoreSize(NamedTuple):
    """Layers, rows, positions, key heads and head width."""

    layers: int
    rows: int
    length: int
    heads: int
    head_width: int


class KeyValueStore:
    """Two tensors [N, B, L, H, D]. It holds no policy: whoever calls decides what is read."""

    def __init__(self, size: StoreSize, dtype: torch.dtype, device: torch.device) -> None:
        # Zeros, not empty: a slot that is masked out still meets the soft-max as 0 * value, and
        # an uninitialised NaN would survive that.
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)
        self.length = size.length

    def rows(self, slots: Sequence[int], length: int | None = None) -> StoreRows:
        """The first ``length`` positions (None: all) of some rows, ascending, for one forward."""
        return StoreRows(self, slots, length or self.length)

    def move(self, source: int, target: int) -> None:
        """Copy a row over another."""
        self.keys[:, target] = self.keys[:, source]
        self.values[:, target] = self.values[:, source]

    def clear(self, slot: int) -> None:
        """Forget a row that may hold NaN."""
        self.keys[:, slot] = 0
        self.values[:, slot] = 0


class StoreRows:
    """A choice of rows. Neighbouring rows are read in place, others are gathered.

    ``index_B``: the ``slots`` on the device; others where keys and values are put elsewhere.
    """

    def __init__(
        self,
        store: KeyValueStore,
        slots: Sequence[int],
        length: int,
        index_B: Tensor | None = None,
    ) -> None:
        self.store = store
        self.slots = slots
        self.length = length
        self.index_B = send(list(slots), store.keys.device) if index_B is None else index_B
        together = slots[-1] - slots[0] + 1 == len(slots)
        self._rows = slice(slots[0], slots[-1] + 1) if together else self.index_B

    def write(self, layer: int, k_BQHD: Tensor, v_BQHD: Tensor, at_BQ: Tensor) -> None:
        """Put keys and values at their absolute positions."""
        where = self.index_B[:, None], at_BQ
        self.store.keys[layer].index_put_(where, k_BQHD)
        self.store.values[layer].index_put_(where, v_BQHD)

    def view(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values [B, L, H, D]."""
        keys, values = self.store.keys[layer], self.store.values[layer]
        return keys[self._rows, : self.length], values[self._rows, : self.length]
