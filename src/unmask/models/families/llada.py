"""Family ``llada``: LLaDA-8B Base and Instruct, LLaDA-1.5 and the students built on them.

A Llama body without biases, bidirectional; rotary positions in fp32. ``ff_out`` names both the head
and every down projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.models.blocks import Body
from unmask.models.config import ends, flag, number, only, rope_theta, token, whole
from unmask.models.denoiser import ModelCard

MODEL_TYPES = ("llada",)
ARCHITECTURES = ("LLaDAModelLM",)
TURN_END = "<|eot_id|>"
REQUIRED = {
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "rope": True,
    "rope_full_precision": True,
    "alibi": False,
    "include_bias": False,
    "attention_layer_norm": False,
    "scale_logits": False,
    "input_emb_norm": False,
}
"""The variants of the reference class that any published checkpoint uses."""


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    only(config, REQUIRED)
    return Body(
        layers=whole(config, "n_layers"),
        width=whole(config, "d_model"),
        heads=whole(config, "n_heads"),
        kv_heads=whole(config, "n_heads" if config.get("n_kv_heads") is None else "n_kv_heads"),
        mlp_width=whole(config, "mlp_hidden_size"),
        vocabulary=whole(config, "embedding_size"),
        rope_theta=rope_theta(config),
        norm_eps=number(config, "rms_norm_eps"),
        qkv_bias=config.get("include_qkv_bias", False),
        tied=flag(config, "weight_tying"),
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know."""
    vocabulary = whole(config, "embedding_size")
    return ModelCard(
        name=name,
        family="llada",
        vocabulary=vocabulary,
        mask_id=token(config, "mask_token_id", vocabulary),
        end_ids=ends(config, vocabulary),
        pad_id=token(config, "pad_token_id", vocabulary),
        max_length=whole(config, "max_sequence_length"),
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    parts = {
        "attn_norm.weight": "attention_norm.weight",
        "attn_out.weight": "attention_out.weight",
        "ff_norm.weight": "mlp_norm.weight",
        "ff_proj.weight": "gate.weight",
        "up_proj.weight": "up.weight",
        "ff_out.weight": "down.weight",
    }
    for theirs, ours in (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value")):
        parts[f"{theirs}.weight"] = f"{ours}.weight"
        if config.get("include_qkv_bias", False):
            parts[f"{theirs}.bias"] = f"{ours}.bias"
    names = {
        "model.transformer.wte.weight": "embedding.weight",
        "model.transformer.ln_f.weight": "norm.weight",
    }
    if not flag(config, "weight_tying"):
        names["model.transformer.ff_out.weight"] = "head.weight"
    for layer in range(whole(config, "n_layers")):
        for theirs, ours in parts.items():
            names[f"model.transformer.blocks.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
    return names
