"""Weights of 8 bits: a quarter of the memory, and on a CPU cheaper products for a big model.

A weight is rounded by the row, symmetrically: w ~ q * max|w| / 127 with whole q from -127 to 127
(LLM.int8, Dettmers et al. 2022, section 2.1). Nothing else is: a number x that meets such weights
counts as two halves of 7 bits, x ~ m / 63 * (a + b / 126), m the greatest of its position and a, b
whole from -63 to 63, and both go through FBGEMM's product of 8-bit numbers. 7 bits each, for
without VNNI two products of more overflow its 16-bit sums. One half alone would be twice as fast,
and blind to all but the outliers of positions that have some, as big models do. The sums are of
whole numbers, so a row of a batch has the very bits it has alone.

Shape legend: N positions of all rows, I inputs, O outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import InputError
from unmask.models.blocks import Block, Transformer

NAME = "int8"
ENGINE = "fbgemm"
MOST = 127
HALF, ZERO = 63, 64
"""Greatest whole number in a half, and what FBGEMM adds to make none of them negative."""
MAKER = "_make_per_channel_quantized_tensor"
"""Makes the only thing that FBGEMM takes weights from. torch 2.13 warns that tensors which know
their scale will go (pytorch issue 184982); `check` refuses a torch without them."""
ROWS = 2048
"""Rounded at a time: the head of a big model alone fills gigabytes in fp32."""
SMALLEST = 1e-30
"""Positions of zeros are divided by this."""


def check(device: torch.device, *, parallel: bool) -> None:
    """Whether a model can have such weights.

    Raises:
        InputError: not on this device, not by this build of torch, or not with ``parallel``.
    """
    if device.type != "cpu":
        raise InputError(
            f"dtype={NAME!r} is for a CPU, not for device={device.type!r}; take device='cpu' or "
            "dtype='bfloat16'"
        )
    if ENGINE not in torch.backends.quantized.supported_engines or not hasattr(torch, MAKER):
        raise InputError(
            f"dtype={NAME!r} needs {ENGINE.upper()}, which this build of torch "
            f"({torch.__version__}) does not offer; take dtype='float32'"
        )
    if parallel:
        raise InputError(f"dtype={NAME!r} does not go with parallel=True; drop one of the two")


def prepare(model: Transformer) -> None:
    """Say of a model on the meta device which weights are to be rounded as they are read."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            shared = module is model.head and model.body.tied
            like = module.weight.to(torch.int8)
            module.weight = (
                model.embedding.weight if shared else nn.Parameter(like, requires_grad=False)
            )
            module.register_buffer("scale", torch.empty(len(like), device=like.device))


def rounded(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers int8 [O, I] and what they count, fp32 [O]."""
    numbers_OI = torch.empty(weight_OI.shape, dtype=torch.int8)
    scale_O = torch.empty(len(weight_OI))
    parts = zip(*(torch.split(w, ROWS) for w in (weight_OI, numbers_OI, scale_O)), strict=True)
    for weight, numbers, scale in parts:
        wide = weight.float()
        torch.amax(wide.abs(), 1, out=scale)
        scale.div_(MOST).clamp_min_(SMALLEST)
        numbers.copy_((wide / scale[:, None]).round_())
    return numbers_OI, scale_O


def settle(model: Transformer) -> None:
    """From now on compute with rounded weights, in the layout that the products want."""
    for block in model.blocks:
        assert isinstance(block, Block)
        inputs = _replace(block, "query", "key", "value")
        block.joints = inputs, _replace(block, "gate", "up")
        _replace(block, "attention_out")
        _replace(block, "down")
    _replace(model, "head")
    setattr(model, "embedding", Int8Embedding(model.embedding))  # noqa: B010 - no nn.Embedding
    for rest in model.parameters():
        rest.data = rest.data.clone()  # read from a file, it would keep all of the file mapped


class Packed:
    """Linear maps of the same input, rounded and multiplied as one."""

    def __init__(self, maps: Sequence[nn.Linear]) -> None:
        self.maps: tuple[nn.Module, ...] = ()
        biases: list[Tensor] = [one.bias for one in maps if one.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        weights = [one.weight.data for one in maps]
        weight_OI = torch.cat(weights) if len(weights) > 1 else weights[0]
        self.packed = _pack(weight_OI, torch.cat([one.get_buffer("scale") for one in maps]))

    def stands_for(self, *maps: nn.Module) -> bool:
        """Whether these are the maps, and nothing was wrapped around them."""
        return self.maps == maps

    def __call__(self, x: Tensor) -> Tensor:
        """All outputs, side by side.

        Raises:
            InputError: gradients are asked for.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise InputError(
                f"a model with dtype={NAME!r} cannot be trained; load it with dtype='float32'"
            )
        x_NI = x.reshape(-1, x.shape[-1])
        greatest_N1 = x_NI.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST)
        halves = x_NI.new_empty(2, *x_NI.shape)
        coarse, fine = halves
        torch.mul(x_NI, HALF / greatest_N1, out=fine)
        torch.round(fine, out=coarse)
        fine.sub_(coarse).mul_(2 * HALF)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        out = product(halves.flatten(0, 1), 1.0, ZERO, self.packed).unflatten(0, (2, -1))
        out_NO = torch.add(out[0], out[1], alpha=0.5 / HALF).mul_(greatest_N1 / HALF)
        if self.bias is not None:
            out_NO += self.bias
        return out_NO.view(*x.shape[:-1], -1)


class Int8Map(nn.Module):
    """One of the maps of a `Packed`: its outputs ``start`` to ``stop``."""

    def __init__(self, whole: Packed, start: int, stop: int) -> None:
        super().__init__()
        self.whole, self.start, self.stop = whole, start, stop

    def forward(self, x: Tensor) -> Tensor:
        """What the linear map gives, with rounded weights."""
        return self.whole(x)[..., self.start : self.stop]


class Int8Embedding(nn.Module):
    """An embedding of rounded weights."""

    def __init__(self, whole: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("weight", whole.weight.data)
        self.register_buffer("scale", whole.get_buffer("scale"))
        self.weight: Tensor
        self.scale: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        """A vector, fp32, for every id."""
        return self.weight[ids] * self.scale[ids][..., None]


def _replace(owner: nn.Module, *names: str) -> Packed:
    """Put one product in the place of these linear maps of ``owner``."""
    maps = [owner.get_submodule(name) for name in names]
    linear = [one for one in maps if isinstance(one, nn.Linear)]
    whole, start, made = Packed(linear), 0, []
    for name, one in zip(names, linear, strict=True):
        stop = start + one.out_features
        made.append(Int8Map(whole, start, stop))
        setattr(owner, name, made[-1])
        start = stop
    whole.maps = tuple(made)
    return whole


def _pack(weight_OI: Tensor, scale_O: Tensor) -> Any:
    """Rounded weights in FBGEMM's own layout, still a byte each."""
    zero = torch.zeros(len(scale_O), dtype=torch.long)
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor")
            whole = getattr(torch, MAKER)(weight_OI, scale_O.double(), zero, 0)
            return torch.ops.quantized.linear_prepack(whole, None)
    finally:
        torch.backends.quantized.engine = before
