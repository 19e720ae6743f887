"""Family ``sdar``: dense SDAR chat models (1.7B to 8B), and students built on them.

A Qwen3 body (Cheng et al. 2025, arXiv 2510.06303) that looks at all of its own block of
``block_size`` and at the blocks before it. Row i of the logits speaks about token i.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.models.blocks import Body
from unmask.models.config import ends, flag, number, only, pad_or_end, rope_theta, token, whole
from unmask.models.denoiser import ModelCard
from unmask.models.names import llama_like

MODEL_TYPES = ("sdar",)
ARCHITECTURES = ("SDARForCausalLM",)
TURN_END = "<|im_end|>"
REQUIRED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "use_sliding_window": False,
}
"""The variants of the reference class that any published checkpoint uses."""


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    only(config, REQUIRED)
    return Body(
        layers=whole(config, "num_hidden_layers"),
        width=whole(config, "hidden_size"),
        heads=whole(config, "num_attention_heads"),
        kv_heads=whole(config, "num_key_value_heads"),
        mlp_width=whole(config, "intermediate_size"),
        vocabulary=whole(config, "vocab_size"),
        rope_theta=rope_theta(config),
        norm_eps=number(config, "rms_norm_eps"),
        tied=flag(config, "tie_word_embeddings"),
        rotary_fp32=False,
        head_width=whole(config, "head_dim"),
        head_norm=True,
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know."""
    vocabulary = whole(config, "vocab_size")
    return ModelCard(
        name=name,
        family="sdar",
        vocabulary=vocabulary,
        mask_id=token(config, "mask_token_id", vocabulary),
        end_ids=ends(config, vocabulary),
        pad_id=pad_or_end(config, vocabulary),
        max_length=whole(config, "max_position_embeddings"),
        span=whole(config, "block_size"),
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    layers = whole(config, "num_hidden_layers")
    return llama_like(layers, tied=flag(config, "tie_word_embeddings"), head_norm=True)
