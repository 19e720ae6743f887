"""Number types of a model, by the names that users give them."""

from __future__ import annotations

import torch

from unmask import catalogue
from unmask.models.fp8 import FP8
from unmask.models.int8 import INT8
from unmask.models.quantized import Format

FORMATS = {form.name: form for form in (INT8, FP8)}
"""Those that round weights."""
DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
    **{name: form.computes for name, form in FORMATS.items()},
}
"""What each computes in."""


def pick(dtype: str, device: torch.device) -> tuple[torch.dtype, Format | None]:
    """What ``dtype`` computes in, and how it rounds weights, if it does.

    Raises:
        InputError: an unknown name.
    """
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32, None
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise catalogue.unknown("dtype", dtype, ["auto", *DTYPES])
    return DTYPES[dtype], FORMATS.get(dtype)
