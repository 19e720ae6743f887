"""From the host to a device, without waiting for either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def send(values: Tensor | NDArray[Any] | Sequence[int], device: torch.device) -> Tensor:
    """``values`` on ``device``; on a CPU arrays and tensors keep their memory.

    An ordinary copy to a GPU returns when all that was launched before it is done. From page-locked
    memory, which PyTorch keeps and hands out again, the GPU fetches it in its own time. Apple's
    share their memory with the host.
    """
    here = torch.as_tensor(values)
    if device.type in ("cpu", "mps"):
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)
