"""``dtype="int8"``: a quarter of the memory, and on a CPU cheaper products for a big model.

All weights are rounded (`unmask.models.quantized`), to whole numbers from -127 to 127. Nothing else
is: a number x that meets such weights counts as two halves of 7 bits, x ~ m / 63 * (a + b / 126), m
the greatest of its position and a, b whole from -63 to 63, and both go through FBGEMM's product of
8-bit numbers. 7 bits each, for without VNNI two products of more overflow its 16-bit sums. One half
alone would be twice as fast, and blind to all but the outliers of positions that have some, as big
models do. The sums are of whole numbers, so a row of a batch has the very bits it has alone.

Shape legend: N positions of all rows, I inputs, O outputs.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import InputError
from unmask.models.quantized import SMALLEST, Format

NAME = "int8"
ENGINE = "fbgemm"
HALF, ZERO = 63, 64
"""Greatest whole number in a half, and what FBGEMM adds to make none of them negative."""
MAKER = "_make_per_channel_quantized_tensor"
"""Makes the only thing that FBGEMM takes weights from. torch 2.13 warns that tensors which know
their scale will go (pytorch issue 184982); `check` refuses a torch without them."""


def check(device: torch.device) -> None:
    """Whether a model can have such weights.

    Raises:
        InputError: not on this device, or not by this build of torch.
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


class Int8Product:
    """By whole numbers, with inputs of 14 bits."""

    def __init__(self, weight_OI: Tensor, scale_O: Tensor, bias_O: Tensor | None) -> None:
        self.packed = _pack(weight_OI, scale_O)
        self.bias_O = bias_O

    def __call__(self, x_NI: Tensor) -> Tensor:
        """fp32 [N, O]."""
        greatest_N1 = x_NI.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST)
        halves = x_NI.new_empty(2, *x_NI.shape)
        coarse, fine = halves
        torch.mul(x_NI, HALF / greatest_N1, out=fine)
        torch.round(fine, out=coarse)
        fine.sub_(coarse).mul_(2 * HALF)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        out = product(halves.flatten(0, 1), 1.0, ZERO, self.packed).unflatten(0, (2, -1))
        out_NO: Tensor = torch.add(out[0], out[1], alpha=0.5 / HALF).mul_(greatest_N1 / HALF)
        return out_NO if self.bias_O is None else out_NO.add_(self.bias_O)


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


INT8 = Format(NAME, torch.int8, torch.float32, check, Int8Product, Int8Embedding)
