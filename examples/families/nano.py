"""Family ``nano``: made up for docs/extend.md; a Llama-like body under names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.models.blocks import Body
from unmask.models.config import number, token, whole
from unmask.models.denoiser import ModelCard

MODEL_TYPES = ("nano",)
ARCHITECTURES = ("NanoForCausalLM",)
TURN_END = "<|end|>"
PARTS = {
    "norm_1": "attention_norm", "q": "query", "k": "key", "v": "value", "o": "attention_out",
    "norm_2": "mlp_norm", "w1": "gate", "w2": "down", "w3": "up",
}  # fmt: skip


def body(config: Mapping[str, Any]) -> Body:
    """Sizes from config.json."""
    return Body(
        layers=whole(config, "depth"),
        width=whole(config, "dim"),
        heads=whole(config, "heads"),
        kv_heads=whole(config, "heads"),
        mlp_width=whole(config, "hidden"),
        vocabulary=whole(config, "vocab"),
        rope_theta=number(config, "theta"),
        norm_eps=number(config, "eps"),
        tied=True,
    )


def card(config: Mapping[str, Any], name: str) -> ModelCard:
    """What decoding has to know. Row i of its logits speaks about token i + 1."""
    vocabulary = whole(config, "vocab")
    end = token(config, "end", vocabulary)
    return ModelCard(
        name=name,
        family="nano",
        vocabulary=vocabulary,
        mask_id=token(config, "mask", vocabulary),
        end_ids=(end,),
        pad_id=end,
        max_length=whole(config, "context"),
        logit_shift=1,
    )


def weight_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    names = {"tokens.weight": "embedding.weight", "last_norm.weight": "norm.weight"}
    for layer in range(whole(config, "depth")):
        for theirs, ours in PARTS.items():
            names[f"layers.{layer}.{theirs}.weight"] = f"blocks.{layer}.{ours}.weight"
    return names
