"""Weights, gradients and moments cut among processes (ZeRO-3, as PyTorch's FSDP2 does it).

Every process keeps a part of each weight. A block is gathered when its turn comes, in the forward
and again in the backward, and dropped afterwards; its gradient is summed up into the same parts.
accelerate wraps FSDP2 as well, but for accelerators only: on a CPU its plug-in is passed over
without a word (state.py of 1.15), so nothing could be tried without two GPUs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from unmask.models.blocks import Block, Transformer


def shard(module: nn.Module, denoiser: Transformer, processes: int) -> None:
    """Cut ``module``, which holds ``denoiser``, in place: its parameters become DTensors, so the
    optimiser has to be made afterwards.

    Embedding and head belong to the root, which stays gathered from forward to backward: they may
    be the same tensor.
    """
    mesh = init_device_mesh(denoiser.device.type, (processes,))
    for block in denoiser.blocks:
        assert isinstance(block, Block)
        block.joints = None  # they would keep the whole weights
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that is cut, as every process sees all of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def weights_of(model: Transformer, *, trained_only: bool = False) -> dict[str, Tensor]:
    """Whole weights by name, on the host. Of several processes all have to ask, and only the first
    is answered; the others get nothing."""
    options = StateDictOptions(
        full_state_dict=True, cpu_offload=True, ignore_frozen_params=trained_only
    )
    found: dict[str, Tensor] = {}
    for name, tensor in get_model_state_dict(model, options=options).items():
        assert isinstance(tensor, Tensor)
        # A view of something longer is what comes of joint maps and of uneven parts; a file can
        # hold no such thing.
        longer = tensor.untyped_storage().nbytes() > tensor.nbytes
        found[name] = tensor.clone() if longer else tensor
    return found
