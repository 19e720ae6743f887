"""Attention over kept positions, by PyTorch's fused kernels.

Shape legend: B rows, Q queries, L keys, H heads, G key heads, D head width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    q_BQHD: Tensor, k_BLGD: Tensor, v_BLGD: Tensor, keep: Tensor | None, *, causal: bool = False
) -> Tensor:
    """Soft-max attention [B, Q, H, D]; ``keep`` is a bool mask [B, 1, Q or 1, L], None for all.

    ``causal``, without ``keep``: query i sees keys up to i, and nothing is computed for others.
    """
    out = scaled_dot_product_attention(
        q_BQHD.transpose(1, 2),
        k_BLGD.transpose(1, 2),
        v_BLGD.transpose(1, 2),
        attn_mask=keep,
        is_causal=causal,
        enable_gqa=q_BQHD.shape[2] != k_BLGD.shape[2],
    )
    return out.transpose(1, 2)
