"""Family ``dream``: Dream-v0 7B, Dream-Coder, DiffuCoder and the students built on them.

A Qwen2.5 body, bidirectional, with biases on query, key and value; rotary positions in the model's
dtype. Row i of the logits speaks about token i + 1 (AR heritage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.errors import CheckpointError
from unmask.models.blocks import Body
from unmask.models.denoiser import ModelCard

MODEL_TYPES = ("Dream", "dream")
TURN_END = "<|im_end|>"
REQUIRED = {"hidden_act": "silu", "rope_scaling": None, "use_sliding_window": False}
"""The variants of the reference class that any published checkpoint uses."""


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    for field, value in REQUIRED.items():
        if config.get(field, value) != value:
            raise CheckpointError(f"config.json: {field}={config[field]!r}, only {value!r} is supported")
    return Body(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        mlp_width=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        rope_theta=config["rope_theta"],
        norm_eps=config["rms_norm_eps"],
        qkv_bias=True,
        tied=config["tie_word_embeddings"],
        rotary_fp32=False,
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know."""
    return ModelCard(
        name=name,
        family="dream",
        vocabulary=config["vocab_size"],
        mask_id=config["mask_token_id"],
        end_ids=(config["eos_token_id"],),
        pad_id=config["pad_token_id"],
        max_length=config["max_position_embeddings"],
        logit_shift=1,
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    parts = {
        "input_layernorm.weight": "attention_norm.weight",
        "self_attn.o_proj.weight": "attention_out.weight",
        "post_attention_layernorm.weight": "mlp_norm.weight",
        "mlp.gate_proj.weight": "gate.weight",
        "mlp.up_proj.weight": "up.weight",
        "mlp.down_proj.weight": "down.weight",
    }
    for theirs, ours in (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value")):
        for kind in ("weight", "bias"):
            parts[f"self_attn.{theirs}.{kind}"] = f"{ours}.{kind}"
    names = {
        "model.embed_tokens.weight": "embedding.weight",
        "model.norm.weight": "norm.weight",
    }
    if not config["tie_word_embeddings"]:
        names["lm_head.weight"] = "head.weight"
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in parts.items():
            names[f"model.layers.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
    return names
