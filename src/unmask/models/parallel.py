"""One model on several devices: every process computes its share of the heads and of the MLP.

The cut of Megatron-LM (Shoeybi et al. 2019, section 3): matrices that read the residual stream are
cut by their outputs (heads, MLP units), those that write to it by their inputs, so a block needs
two sums over the processes and nothing else. A store holds the heads of its process. The head is
cut by tokens and its logits are put together for all: every process sees the same bits and decides
alike, so they decode in step without a word.

DTensors say who holds what while a checkpoint is read; products are taken of plain tensors
afterwards. `parallelize_module` would leave DTensors in place, whose dispatch costs more than the
forward of a small model (docs/log.md). Nothing here has gradients.

    torchrun --nproc-per-node 2 answer.py       # in it: unmask.load(name, parallel=True)

Shape legend: B rows, A asked rows, V vocabulary.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import all_gather, all_reduce, get_world_size
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from unmask.errors import InputError
from unmask.models.blocks import Block, Body, Transformer

BY_OUTPUT, BY_INPUT = Shard(0), Shard(1)
PLAN = {
    "query": BY_OUTPUT, "key": BY_OUTPUT, "value": BY_OUTPUT, "attention_out": BY_INPUT,
    "gate": BY_OUTPUT, "up": BY_OUTPUT, "down": BY_INPUT,
}  # fmt: skip


def processes() -> int:
    """How many processes torchrun started.

    Raises:
        InputError: it did not start this one.
    """
    try:
        return int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise InputError(
            "parallel=True needs processes that torchrun started; type torchrun --nproc-per-node 2 "
            "script.py, or leave it out"
        ) from None


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process, where one is meant at all."""
    if device.type != "cuda":
        return device
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def check(body: Body, count: int) -> None:
    """Whether ``count`` processes can share a model.

    Raises:
        InputError: they cannot; the message says how many can.
    """
    sizes = (body.heads, body.kv_heads, body.mlp_width, body.vocabulary)
    if any(size % count for size in sizes):
        fit = [n for n in range(1, body.kv_heads + 1) if not any(size % n for size in sizes)]
        raise InputError(
            f"{count} processes cannot share {body.heads} heads, {body.kv_heads} key heads, "
            f"{body.mlp_width} MLP units and {body.vocabulary} tokens; "
            f"take {' or '.join(map(str, fit))}"
        )


def cut(model: Transformer, count: int, device: torch.device) -> None:
    """Say who of ``count`` processes holds what of ``model``, which is on the meta device."""
    mesh = init_device_mesh(device.type, (count,))
    places = [(getattr(block, name), PLAN[name]) for block in model.blocks for name in PLAN]
    for linear, place in [*places, (model.head, BY_OUTPUT)]:
        for name, weight in list(linear.named_parameters()):
            part = distribute_tensor(weight.data, mesh, [place], src_data_rank=None)
            setattr(linear, name, nn.Parameter(part))


def part_of(tensor: Tensor, weight: Tensor) -> Tensor:
    """What this process keeps of ``tensor``, which is to be ``weight``: all of it, or its part."""
    if not isinstance(weight, DTensor):
        return tensor
    mesh, placements = weight.device_mesh, weight.placements
    own = distribute_tensor(tensor, mesh, placements, src_data_rank=None).to_local()
    # Rows are a view, which would keep all of the tensor.
    return DTensor.from_local(own.clone(), mesh, placements, run_check=False)


def settle(model: Transformer, count: int) -> None:
    """From now on compute with plain tensors: parts, and sums over the processes."""
    for block in model.blocks:
        assert isinstance(block, Block)
        for name, place in PLAN.items():
            linear = getattr(block, name)
            _localise(linear)
            if place is BY_INPUT:
                linear.register_forward_hook(_sum)
        heads, keys = block.heads
        block.heads = heads // count, keys // count
    _localise(model.head)
    model.head.register_forward_hook(_join)
    model.key_heads //= count


def _localise(linear: nn.Linear) -> None:
    for name, weight in list(linear.named_parameters()):
        assert isinstance(weight, DTensor)
        setattr(linear, name, nn.Parameter(weight.to_local(), requires_grad=False))


def _sum(module: nn.Module, given: Any, out: Tensor) -> Tensor:
    """The parts of every process, added up."""
    del module, given
    all_reduce(out)
    return out


def _join(module: nn.Module, given: Any, out_BAV: Tensor) -> Tensor:
    """The logits of every process, side by side."""
    del module, given
    parts = [torch.empty_like(out_BAV) for _ in range(get_world_size())]
    all_gather(parts, out_BAV.contiguous())
    return torch.cat(parts, -1)
