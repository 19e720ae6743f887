"""Family ``fast_dllm_v2``: Fast-dLLM v2 1.5B and 7B, and students built on them.

A Qwen2.5 body (Wu et al. 2025, arXiv 2509.26328) that looks at all of its own block of ``bd_size``
and at the blocks before it. Row i of the logits speaks about token i + 1 (AR heritage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.models.blocks import Body
from unmask.models.config import ends, flag, number, only, pad_or_end, rope_theta, token, whole
from unmask.models.denoiser import ModelCard
from unmask.models.names import llama_like

MODEL_TYPES = ("Fast_dLLM_Qwen",)
ARCHITECTURES = ("Fast_dLLM_QwenForCausalLM",)
TURN_END = "<|im_end|>"
MASK_ID = 151665
"""``|<MASK>|``. It stands in the published code, not in config.json; one given there wins."""
REQUIRED = {"hidden_act": "silu", "use_sliding_window": False}
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
        qkv_bias=True,
        tied=flag(config, "tie_word_embeddings"),
        rotary_fp32=False,
        head_width=0 if config.get("head_dim") is None else whole(config, "head_dim"),
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know."""
    vocabulary = whole(config, "vocab_size")
    return ModelCard(
        name=name,
        family="fast_dllm_v2",
        vocabulary=vocabulary,
        mask_id=token({"mask_token_id": MASK_ID, **config}, "mask_token_id", vocabulary),
        end_ids=ends(config, vocabulary),
        pad_id=pad_or_end(config, vocabulary),
        max_length=whole(config, "max_position_embeddings"),
        logit_shift=1,
        span=whole(config, "bd_size"),
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    layers = whole(config, "num_hidden_layers")
    return llama_like(layers, tied=flag(config, "tie_word_embeddings"), qkv_bias=True)
