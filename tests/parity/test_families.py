"""Families against an oracle written from the formulas (float64), on random two-layer models."""

from __future__ import annotations

import torch

import unmask
from checkpoints import (
    DREAM_CONFIG,
    LLADA_CONFIG,
    VOCABULARY,
    dream_shapes,
    llada_shapes,
    random_tensors,
    write,
)
from parity.oracle import Sizes, dream_layer, llada_layer, logits

TOLERANCE = 1e-4
IDS = torch.randint(VOCABULARY, (11,), generator=torch.Generator().manual_seed(5)).tolist()


def test_llada_is_a_llama_body_with_full_attention(tmp_path):
    tensors = random_tensors(llada_shapes(LLADA_CONFIG), seed=1)
    expected = logits(
        IDS,
        tensors["model.transformer.wte.weight"],
        [llada_layer(tensors, layer) for layer in range(2)],
        tensors["model.transformer.ln_f.weight"],
        tensors["model.transformer.ff_out.weight"],
        Sizes(4, 4, 500000.0, 1e-5),
    )
    model = unmask.load(write(tmp_path, LLADA_CONFIG, tensors), device="cpu")
    assert (model.logits(IDS) - expected).abs().max() < TOLERANCE


def test_llada_with_fewer_key_heads_shares_them_by_groups(tmp_path):
    config = {**LLADA_CONFIG, "n_kv_heads": 2}
    shapes = llada_shapes(config)
    for name in shapes:
        if "k_proj" in name or "v_proj" in name:
            shapes[name] = (16, 32)
    tensors = random_tensors(shapes, seed=2)
    expected = logits(
        IDS,
        tensors["model.transformer.wte.weight"],
        [llada_layer(tensors, layer) for layer in range(2)],
        tensors["model.transformer.ln_f.weight"],
        tensors["model.transformer.ff_out.weight"],
        Sizes(4, 2, 500000.0, 1e-5),
    )
    model = unmask.load(write(tmp_path, config, tensors), device="cpu")
    assert (model.logits(IDS) - expected).abs().max() < TOLERANCE


def test_dream_is_a_qwen2_body_with_full_attention_and_rows_one_to_the_left(tmp_path):
    tensors = random_tensors(dream_shapes(DREAM_CONFIG), seed=3)
    raw = logits(
        IDS,
        tensors["model.embed_tokens.weight"],
        [dream_layer(tensors, layer) for layer in range(2)],
        tensors["model.norm.weight"],
        tensors["lm_head.weight"],
        Sizes(4, 2, 1e6, 1e-6),
    )
    expected = torch.cat([raw[:1], raw[:-1]])
    model = unmask.load(write(tmp_path, DREAM_CONFIG, tensors), device="cpu")
    assert (model.logits(IDS) - expected).abs().max() < TOLERANCE
