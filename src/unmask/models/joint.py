"""Several linear maps of the same input, multiplied as one.

Small products leave a machine waiting: for query, key and value one product instead of three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Product(Protocol):
    """A product that can stand for those of several maps."""

    def stands_for(self, *maps: nn.Module) -> bool:
        """Whether these are the maps, and it may."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """All outputs, side by side."""
        ...


class Joint:
    """The weights of ``maps`` in one tensor, which the maps' own weights then are views of.

    So nothing is stored twice, and whatever is written into a map counts here too.
    """

    @torch.no_grad()
    def __init__(self, maps: Sequence[nn.Linear]) -> None:
        self.maps = tuple(maps)
        self.weight = _shared([one.weight for one in maps])
        biases = [one.bias for one in maps if one.bias is not None]
        self.bias = _shared(biases) if biases else None
        self._weights = [(one.weight, one.weight.data_ptr()) for one in maps]

    def stands_for(self, *maps: nn.Module) -> bool:
        """Whether these are the maps, as they were: not wrapped, moved, cast or replaced, and
        without gradients, which only the maps themselves can take."""
        return (
            not torch.is_grad_enabled()
            and self.maps == maps
            and all(
                one.weight is weight and weight.data_ptr() == place
                for one, (weight, place) in zip(self.maps, self._weights, strict=True)
            )
        )

    def __call__(self, x: Tensor) -> Tensor:
        """All outputs, side by side."""
        return F.linear(x, self.weight, self.bias)


def _shared(parts: Sequence[Tensor]) -> Tensor:
    whole = torch.cat([part.data for part in parts])
    sizes = [len(part) for part in parts]
    for part, view in zip(parts, torch.split_with_sizes(whole, sizes), strict=True):
        part.data = view
    return whole
