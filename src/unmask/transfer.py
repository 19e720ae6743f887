"""Between the host and a device: there without waiting, back in one read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def send(values: Tensor | NDArray[Any] | Sequence[int], device: torch.device) -> Tensor:
    """``values`` on ``device``; on a CPU arrays and tensors keep their memory.

    An ordinary copy to a GPU returns when all that was launched before it is done. From page-locked
    memory, which PyTorch keeps and hands out again, the GPU fetches it in its own time. Apple's
    share their memory with the host.
    """
    array = values if isinstance(values, Tensor) else np.ascontiguousarray(values)
    here = array if isinstance(array, Tensor) else torch.from_numpy(array)
    if device.type == "cpu":
        return here
    if device.type == "mps":
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)


def fetch(*parts: Tensor) -> list[NDArray[Any]]:
    """Equally shaped ``parts`` on the host, by one read; the last has the type that holds all.

    Ids are exact in fp32 below 2^24, in fp64 always. On a CPU the arrays keep memory and type.
    """
    if parts[0].device.type == "cpu":
        return [part.numpy() for part in parts]
    return list(torch.stack([part.to(parts[-1].dtype) for part in parts]).cpu().numpy())
