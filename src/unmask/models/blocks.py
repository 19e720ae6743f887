"""The one transformer body of every family: RMSNorm, rotary, grouped-query attention, SwiGLU.

Shape legend: B rows, Q fed positions, L canvas positions, A asked rows, H heads, D head width,
W model width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import split_with_sizes as cut
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unmask.models.attention import View, columns
from unmask.models.denoiser import ModelCard
from unmask.models.joint import Joint, Product
from unmask.models.store import KeyValueStore, StoreRows, StoreSize


@dataclass(frozen=True)
class Body:
    """Sizes of a transformer. ``rotary_fp32``: rotate in fp32 (LLaDA), else in the model's type.

    ``head_width``: 0 means width / heads, and is replaced by that. ``head_norm``: an RMSNorm on the
    query and the key of every head (Qwen3).
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    mlp_width: int
    vocabulary: int
    rope_theta: float
    norm_eps: float
    qkv_bias: bool = False
    tied: bool = False
    rotary_fp32: bool = True
    head_width: int = 0
    head_norm: bool = False

    def __post_init__(self) -> None:
        shared = self.head_width == 0
        width = self.width // self.heads if shared else self.head_width
        even = width % 2 == 0  # rotary positions turn pairs
        if not even or (shared and self.width % self.heads) or self.heads % self.kv_heads:
            raise ValueError(
                f"width {self.width}, {self.heads} heads and {self.kv_heads} key heads do not fit"
            )
        object.__setattr__(self, "head_width", width)


class RMSNorm(nn.Module):
    """x / rms(x) in fp32, cast back, then scaled: the order of both reference models."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        if x.dtype == torch.float32:
            return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        normed = F.rms_norm(x.float(), x.shape[-1:], None, self.eps)
        return normed.to(x.dtype) * self.weight


class Rotary(nn.Module):
    """Cosines and sines for absolute positions, rotated in halves (RoFormer, section 3.4)."""

    def __init__(self, body: Body, length: int) -> None:
        super().__init__()
        self.body = body
        self.length = length
        self.register_buffer("table", None, persistent=False)
        self.table: Tensor | None

    def forward(self, at_BQ: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine [B, Q, 1, D] at ``at``."""
        if self.table is None or self.table.device != at_BQ.device:
            self.table = self._build(at_BQ.device)
        kind = torch.float32 if self.body.rotary_fp32 else dtype
        cos, sin = self.table[:, at_BQ].to(kind)
        return cos[:, :, None], sin[:, :, None]

    @torch.inference_mode(
        mode=False
    )  # the table outlives the call: training must be able to use it
    def _build(self, device: torch.device) -> Tensor:
        half = torch.arange(0, self.body.head_width, 2, device=device, dtype=torch.float32)
        frequency = self.body.rope_theta ** (-half / self.body.head_width)
        angle = torch.arange(self.length, device=device, dtype=torch.float32)[:, None] * frequency
        angle = torch.cat([angle, angle], dim=-1)
        sin = angle.sin()
        sin[:, : self.body.head_width // 2].neg_()  # the first half of a rotated head is negated
        return torch.stack([angle.cos(), sin])


def rotate(x_BQHD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries or keys by their positions; ``sin`` carries the sign of the swapped halves."""
    x = x_BQHD.to(cos.dtype)
    return (x * cos + x.roll(x.shape[-1] // 2, -1) * sin).to(x_BQHD.dtype)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """The inside of SwiGLU."""
    return F.silu(gate) * up


class Block(nn.Module):
    """Pre-norm attention and SwiGLU."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        width, kv_width = body.width, body.kv_heads * body.head_width
        query_width = body.heads * body.head_width
        self.head_width = body.head_width
        self.attention_norm = RMSNorm(width, body.norm_eps)
        self.query = nn.Linear(width, query_width, bias=body.qkv_bias)
        self.key = nn.Linear(width, kv_width, bias=body.qkv_bias)
        self.value = nn.Linear(width, kv_width, bias=body.qkv_bias)
        self.query_norm, self.key_norm = (
            RMSNorm(body.head_width, body.norm_eps) if body.head_norm else nn.Identity()
            for _ in range(2)
        )
        self.attention_out = nn.Linear(query_width, width, bias=False)
        self.mlp_norm = RMSNorm(width, body.norm_eps)
        self.gate = nn.Linear(width, body.mlp_width, bias=False)
        self.up = nn.Linear(width, body.mlp_width, bias=False)
        self.down = nn.Linear(body.mlp_width, width, bias=False)
        self.heads, self.head_norm = (body.heads, body.kv_heads), body.head_norm
        self.joints: tuple[Product, Product] | None = None

    def join(self) -> None:
        """From now on multiply by query, key and value at once, and by gate and up."""
        inputs = Joint([self.query, self.key, self.value])
        self.joints = inputs, Joint([self.gate, self.up])

    def forward(
        self,
        x_BQW: Tensor,
        rotary: tuple[Tensor, Tensor],
        view: View,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """One layer; ``view`` says what the queries may look at. With ``ask`` all columns give
        keys and values, and the asked ones only go on: [B, A, W]."""
        q, k, v = self._attention_inputs(self.attention_norm(x_BQW), rotary)
        k, v = view.exchange(k, v)
        seen = self.attention_out(view.attend(q, k, v, ask_BA).flatten(2))
        x = seen + (x_BQW if ask_BA is None else columns(x_BQW, ask_BA))
        gate, up = self._mlp_inputs(self.mlp_norm(x))
        out: Tensor = x + self.down(gated(gate, up))
        return out

    def _attention_inputs(
        self, x: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, turned, and values."""
        split = (*x.shape[:2], -1, self.head_width)
        if self.joints and self.joints[0].stands_for(self.query, self.key, self.value):
            heads, keys = self.heads
            both, v = cut(self.joints[0](x).view(split), (heads + keys, keys), 2)
            if not self.head_norm:
                q, k = cut(rotate(both, *rotary), (heads, keys), 2)
                return q, k, v
            q, k = cut(both, (heads, keys), 2)
        else:
            q, k, v = (part(x).view(split) for part in (self.query, self.key, self.value))
        return rotate(self.query_norm(q), *rotary), rotate(self.key_norm(k), *rotary), v

    def _mlp_inputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.joints and self.joints[1].stands_for(self.gate, self.up):
            gate, up = self.joints[1](x).chunk(2, -1)
            return gate, up
        return self.gate(x), self.up(x)


class Transformer(nn.Module):
    """A body with embedding and head: the Denoiser of every family."""

    def __init__(self, body: Body, card: ModelCard) -> None:
        super().__init__()
        self.body = body
        self.card = card
        # As nn.Embedding draws it; its own way takes torch two seconds to import on a meta device.
        drawn = torch.randn(body.vocabulary, body.width)
        self.embedding = nn.Embedding(body.vocabulary, body.width, _weight=drawn)
        self.blocks = nn.ModuleList(Block(body) for _ in range(body.layers))
        self.norm = RMSNorm(body.width, body.norm_eps)
        self.head = nn.Linear(body.width, body.vocabulary, bias=False)
        if body.tied:
            self.head.weight = self.embedding.weight
        self.rotary = Rotary(body, card.max_length)
        self.key_heads = body.kv_heads
        """Those of this process (`unmask.models.parallel`)."""
        self.rounded = ""
        """The name of the format of its weights, where they are rounded to 8 bits."""
        self.recompute = False
        """Whether backward computes every block again instead of keeping its activations."""

    def join(self) -> None:
        """Multiply fewer, bigger matrices while no gradients are asked for; costs no memory."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.join()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    @property
    def dtype(self) -> str:
        """The number type of the weights: float32, bfloat16, float16, int8 or fp8."""
        return self.rounded or str(self.embedding.weight.dtype).removeprefix("torch.")

    def new_store(self, rows: int, length: int) -> KeyValueStore:
        """Room for ``rows`` canvases of up to ``length`` positions."""
        body, weight = self.body, self.norm.weight
        size = StoreSize(body.layers, rows, length, self.key_heads, body.head_width)
        return KeyValueStore(size, weight.dtype, weight.device)

    def forward(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: StoreRows | None = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, A, V] of the asked columns; see `unmask.models.denoiser.Denoiser`."""
        return self.speak(self.hidden(ids_BQ, at_BQ, store, keep_BL, ask_BA))

    def speak(self, x_BAW: Tensor) -> Tensor:
        """Norm and head: logits [B, A, V]."""
        logits_BAV: Tensor = self.head(self.norm(x_BAW))
        return logits_BAV

    def hidden(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: StoreRows | None = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """The residual stream after the last layer, before norm and head: [B, A, W] of the asked
        columns, which alone go through it, or [B, Q, W] of all."""
        x_BQW: Tensor = self.embedding(ids_BQ)
        rotary = self.rotary(at_BQ, x_BQW.dtype)
        view = View(store, at_BQ, keep_BL, self.card.span)
        for at, block in enumerate(self.blocks, 1):
            asked = ask_BA if at == len(self.blocks) else None
            if self.recompute:
                x_BQW = checkpoint(block, x_BQW, rotary, view, asked, use_reentrant=False)
            else:
                x_BQW = block(x_BQW, rotary, view, asked)
        return x_BQW
