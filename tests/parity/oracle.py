"""Llama and Qwen2 bodies from their papers' formulas: float64, one head and one query at a time.

    x_i += W_o softmax_j(rotate(q_i, i) . rotate(k_j, j) / sqrt(D)) v_j      for all j, no causality
    x_i += W_down (silu(W_gate n_i) * W_up n_i)

Slow and obvious on purpose; only tests use it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Layer(NamedTuple):
    """The weights of one layer; a bias may be None."""

    attention_norm: Tensor
    query: tuple[Tensor, Tensor | None]
    key: tuple[Tensor, Tensor | None]
    value: tuple[Tensor, Tensor | None]
    out: Tensor
    mlp_norm: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor


class Sizes(NamedTuple):
    """What the weights do not tell."""

    heads: int
    kv_heads: int
    theta: float
    eps: float


def llada_layer(tensors: dict[str, Tensor], layer: int) -> Layer:
    """LLaDA's names. ``ff_proj`` is the gate, ``ff_out`` the way down."""
    part = {
        name.removeprefix(f"model.transformer.blocks.{layer}.").removesuffix(".weight"): tensor
        for name, tensor in tensors.items()
    }
    return Layer(
        part["attn_norm"],
        (part["q_proj"], None),
        (part["k_proj"], None),
        (part["v_proj"], None),
        part["attn_out"],
        part["ff_norm"],
        part["ff_proj"],
        part["up_proj"],
        part["ff_out"],
    )


def dream_layer(tensors: dict[str, Tensor], layer: int) -> Layer:
    """Qwen2's names."""
    at = f"model.layers.{layer}"
    both = [
        (tensors[f"{at}.self_attn.{name}.weight"], tensors[f"{at}.self_attn.{name}.bias"])
        for name in ("q_proj", "k_proj", "v_proj")
    ]
    return Layer(
        tensors[f"{at}.input_layernorm.weight"],
        *both,
        tensors[f"{at}.self_attn.o_proj.weight"],
        tensors[f"{at}.post_attention_layernorm.weight"],
        tensors[f"{at}.mlp.gate_proj.weight"],
        tensors[f"{at}.mlp.up_proj.weight"],
        tensors[f"{at}.mlp.down_proj.weight"],
    )


def logits(
    ids: list[int], embedding: Tensor, layers: list[Layer], norm: Tensor, head: Tensor, sizes: Sizes
) -> Tensor:
    """Raw logits [L, V] of one text."""
    x = [embedding[token].double() for token in ids]
    for layer in layers:
        x = _layer(x, layer, sizes)
    return torch.stack([head.double() @ _normed(row, norm, sizes.eps) for row in x])


def _layer(x: list[Tensor], layer: Layer, sizes: Sizes) -> list[Tensor]:
    normed = [_normed(row, layer.attention_norm, sizes.eps) for row in x]
    queries, keys, values = (
        [_heads(_linear(row, weight), count) for row in normed]
        for weight, count in (
            (layer.query, sizes.heads),
            (layer.key, sizes.kv_heads),
            (layer.value, sizes.kv_heads),
        )
    )
    after = []
    for place, row in enumerate(x):
        mixed = []
        for head in range(sizes.heads):
            group = head * sizes.kv_heads // sizes.heads
            query = _rotated(queries[place][head], place, sizes.theta)
            scores = torch.stack(
                [
                    query @ _rotated(key[group], other, sizes.theta) / math.sqrt(len(query))
                    for other, key in enumerate(keys)
                ]
            )
            share = scores.exp() / scores.exp().sum()
            mixed.append(sum(s * value[group] for s, value in zip(share, values, strict=True)))
        middle = row + layer.out.double() @ torch.cat(mixed)
        inner = _normed(middle, layer.mlp_norm, sizes.eps)
        gate = layer.gate.double() @ inner
        after.append(
            middle + layer.down.double() @ (gate * gate.sigmoid() * (layer.up.double() @ inner))
        )
    return after


def _linear(x: Tensor, weights: tuple[Tensor, Tensor | None]) -> Tensor:
    weight, bias = weights
    out = weight.double() @ x
    return out if bias is None else out + bias.double()


def _heads(x: Tensor, count: int) -> list[Tensor]:
    return list(x.view(count, -1))


def _normed(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.square().mean() + eps).sqrt() * weight.double()


def _rotated(x: Tensor, place: int, theta: float) -> Tensor:
    """Turn the pairs (x[d], x[d + D/2]) by place * theta ** (-2 d / D)."""
    half = len(x) // 2
    turned = torch.empty_like(x)
    for d in range(half):
        angle = place * theta ** (-2 * d / len(x))
        cos, sin = math.cos(angle), math.sin(angle)
        turned[d] = x[d] * cos - x[d + half] * sin
        turned[d + half] = x[d + half] * cos + x[d] * sin
    return turned
