"""Family ``tiny``: models that ship with the package, `tiny` and `tiny-fast` (masked) and `tiny-ar`
(causal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.errors import CheckpointError
from unmask.models.blocks import Body
from unmask.models.config import ends, flag, number, rope_theta, token, whole
from unmask.models.denoiser import ModelCard
from unmask.models.names import llama_like

MODEL_TYPES = ("unmask-tiny",)
ARCHITECTURES: tuple[str, ...] = ()
TURN_END = "<|end|>"


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    if not flag(config, "tie_word_embeddings"):
        raise CheckpointError("config.json: tie_word_embeddings has to be true for this family")
    return Body(
        layers=whole(config, "num_hidden_layers"),
        width=whole(config, "hidden_size"),
        heads=whole(config, "num_attention_heads"),
        kv_heads=whole(config, "num_key_value_heads"),
        mlp_width=whole(config, "intermediate_size"),
        vocabulary=whole(config, "vocab_size"),
        rope_theta=rope_theta(config),
        norm_eps=number(config, "rms_norm_eps"),
        tied=True,
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know."""
    causal = flag(config, "causal")
    vocabulary = whole(config, "vocab_size")
    shift = config.get("logit_shift", int(causal))
    if shift not in (0, 1) or isinstance(shift, bool):
        raise CheckpointError(f"config.json: logit_shift={shift!r} is not allowed; give 0 or 1")
    return ModelCard(
        name=name,
        family="tiny",
        vocabulary=vocabulary,
        mask_id=token(config, "mask_token_id", vocabulary),
        end_ids=ends(config, vocabulary),
        pad_id=token(config, "pad_token_id", vocabulary),
        max_length=whole(config, "max_position_embeddings"),
        logit_shift=shift,
        span=1 if causal else None,
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    layers = whole(config, "num_hidden_layers")
    return llama_like(layers, tied=True)
