"""Family ``llama``: Llama bodies, causal as they come (``llama``), or turned into diffusion models
by training with full attention (``llama-a2d``): the logits stay shifted, as Dream's do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.errors import CheckpointError
from unmask.models.blocks import Body
from unmask.models.config import ends, flag, number, only, pad_or_end, rope_theta, token, whole
from unmask.models.denoiser import ModelCard
from unmask.models.names import llama_like

MODEL_TYPES = ("llama", "llama-a2d")
ARCHITECTURES = ("LlamaForCausalLM",)
TURN_END = "<|im_end|>"
REQUIRED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""What the body does not do otherwise."""


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    only(config, REQUIRED)
    heads = whole(config, "num_attention_heads")
    found = Body(
        layers=whole(config, "num_hidden_layers"),
        width=whole(config, "hidden_size"),
        heads=heads,
        kv_heads=whole(
            config, "num_key_value_heads" if _grouped(config) else "num_attention_heads"
        ),
        mlp_width=whole(config, "intermediate_size"),
        vocabulary=whole(config, "vocab_size"),
        rope_theta=rope_theta(config),
        norm_eps=number(config, "rms_norm_eps"),
        tied=flag(config, "tie_word_embeddings"),
    )
    if config.get("head_dim") not in (None, found.head_width):
        raise CheckpointError(
            f"config.json: head_dim={config['head_dim']!r}, only hidden_size / "
            f"num_attention_heads = {found.head_width} is supported"
        )
    return found


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know. A causal model has no mask token; its begin of text stands in, for
    it is never a token of an answer (unless it ends it: then config.json has to name another)."""
    vocabulary = whole(config, "vocab_size")
    causal = config["model_type"] == "llama"
    mask = "bos_token_id" if causal and config.get("mask_token_id") is None else "mask_token_id"
    return ModelCard(
        name=name,
        family="llama",
        vocabulary=vocabulary,
        mask_id=token(config, mask, vocabulary),
        end_ids=ends(config, vocabulary),
        pad_id=pad_or_end(config, vocabulary),
        max_length=whole(config, "max_position_embeddings"),
        logit_shift=1,
        span=1 if causal else None,
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    layers = whole(config, "num_hidden_layers")
    return llama_like(layers, tied=flag(config, "tie_word_embeddings"))


def _grouped(config: Mapping[str, Any]) -> bool:
    return config.get("num_key_value_heads") is not None
