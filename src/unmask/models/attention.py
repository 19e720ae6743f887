"""What a forward attends to, and attention over it by PyTorch's fused kernels.

Shape legend: B rows, Q fed positions and their queries, A asked ones, L keys, H heads, G key heads,
D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from unmask.models.store import StoreRows


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


def columns(x_BQ: Tensor, ask_BA: Tensor) -> Tensor:
    """The asked columns of ``x`` [B, Q, ...]: [B, A, ...]."""
    rest = x_BQ.shape[2:]
    return x_BQ.gather(1, ask_BA.view(*ask_BA.shape, *(1 for _ in rest)).expand(-1, -1, *rest))


class View:
    """What the queries of one forward may look at: its own positions, or what the store holds after
    they were written into it."""

    def __init__(
        self, store: StoreRows | None, at_BQ: Tensor, keep_BL: Tensor | None, span: int | None
    ) -> None:
        self.store = store
        self.at_BQ = at_BQ
        # Then the fed positions are all there are, and stand in their order.
        self.causal = (
            span == 1 and keep_BL is None and (store is None or store.length == at_BQ.shape[1])
        )
        self.keep = None if keep_BL is None else keep_BL[:, None, None]
        if span is not None and not self.causal:
            left = self._left(span)
            self.keep = left if self.keep is None else left & self.keep
        self._layer = 0

    def _left(self, span: int) -> Tensor:
        """Bool [B, 1, Q, L]: keys in the block of every query, or before it."""
        keys_at = self.at_BQ
        if self.store is not None:
            keys_at = torch.arange(self.store.length, device=self.at_BQ.device)[None]
        return (keys_at[:, None] // span <= self.at_BQ[:, :, None] // span)[:, None]

    def exchange(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Fresh keys and values in, those to attend to out; called once a layer, in order."""
        if self.store is None:
            return k, v
        self.store.write(self._layer, k, v, self.at_BQ)
        k, v = self.store.view(self._layer)
        self._layer += 1
        return k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, ask_BA: Tensor | None) -> Tensor:
        """Attention of all queries, or of those of the asked columns, to what they may look at."""
        if ask_BA is None:
            return attend(q, k, v, self.keep, causal=self.causal)
        keep = self.keep
        if self.causal:
            keep = (torch.arange(k.shape[1], device=k.device) <= ask_BA[..., None])[:, None]
        elif keep is not None and keep.shape[2] > 1:
            keep = columns(keep[:, 0].expand(len(ask_BA), -1, -1), ask_BA)[:, None]
        return attend(columns(q, ask_BA), k, v, keep)
