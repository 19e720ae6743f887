"""``dtype="fp8"``: half of the bytes that a forward of a big model reads on a GPU.

At batch 1 such a forward costs the reading of its weights. So the weights of products are rounded
(`unmask.models.quantized`) to e4m3, a sign, 4 bits of exponent and 3 of digits, and everything else
is bfloat16. **The inputs of a product are rounded too**, by the position as they come:
x ~ q * max|x| / 448. Then tensor cores multiply both as they are (`torch.nn.functional.scaled_mm`,
scales by row). Inputs in bfloat16 would lose less; but without a kernel of our own the weights
would then be written out in bfloat16 at every forward, which moves five times the bytes of reading
them rounded. A rounded number is off by 1/16 at most, sums of random ones came out 3.7 % off, where
int8's are 0.9 %. An outlier costs its position little: e4m3 keeps its digits down to 1/28,672 of
the greatest number.

The embedding stays bfloat16, for a forward reads only a few of its rows; a tied head has a rounded
copy of its own, for a forward reads all of it.

Nothing is read by the host and no shape depends on numbers, so that CUDA graphs can capture it.
**None of this has run on a GPU yet.** A CPU takes the same calls, and is slower than with float32:
that is for tests.

Shape legend: N positions of all rows, I inputs, O outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import ScalingType

from unmask.errors import InputError
from unmask.models.quantized import MOST, SMALLEST, Format

NAME = "fp8"
KIND = torch.float8_e4m3fn
OLDEST = (8, 9)
"""Compute capability (Ada, Hopper next) from which tensor cores multiply e4m3."""
GRAIN = 16
"""Bytes at whose multiples rows begin in both operands and the result."""


def check(device: torch.device) -> None:
    """Whether a model can have such weights.

    Raises:
        InputError: not on this device.
    """
    if device.type not in ("cuda", "cpu") or (device.type == "cuda" and torch.version.hip):
        raise InputError(
            f"dtype={NAME!r} is for an NVIDIA GPU, not for device={device.type!r} here; take "
            "dtype='bfloat16'"
        )
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < OLDEST:
        major, minor = torch.cuda.get_device_capability(device)
        raise InputError(
            f"dtype={NAME!r} needs compute capability {OLDEST[0]}.{OLDEST[1]}, and "
            f"device={str(device)!r} has {major}.{minor}; take dtype='bfloat16'"
        )


def narrow(x_NI: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers e4m3 [N, I] and what they count, fp32 [N, 1].

    Four launches, two of them for one number a position; torch.compile makes one of all. (`rsub`
    would divide and keep from zero at once, but torch 2.13 compiles it wrongly, without its alpha.)
    """
    greatest_N1 = torch.linalg.vector_norm(x_NI, math.inf, -1, keepdim=True, dtype=torch.float32)
    scale_N1 = greatest_N1.div_(MOST[KIND]).clamp_min_(SMALLEST)
    numbers_NI = torch.empty(x_NI.shape, dtype=KIND, device=x_NI.device)
    return torch.div(x_NI, scale_N1, out=numbers_NI), scale_N1


class Fp8Product:
    """By e4m3 numbers on both sides."""

    def __init__(self, weight_OI: Tensor, scale_O: Tensor, bias_O: Tensor | None) -> None:
        self.weight_IO = weight_OI.t()  # the layout that tensor cores want: column by column
        self.scale_1O = scale_O[None]
        self.bias_O = bias_O

    def __call__(self, x_NI: Tensor) -> Tensor:
        """bfloat16 [N, O]. Sums keep fewer bits on Hopper (``use_fast_accum``), as is usual for
        inference: the inputs' own rounding is far coarser."""
        numbers_NI, scale_N1 = narrow(x_NI)
        return F.scaled_mm(
            numbers_NI,
            self.weight_IO,
            scale_N1,
            ScalingType.RowWise,
            self.scale_1O,
            ScalingType.RowWise,
            bias=self.bias_O,
            output_dtype=torch.bfloat16,
            use_fast_accum=True,
        )


FP8 = Format(NAME, KIND, torch.bfloat16, check, Fp8Product, grain=GRAIN)
