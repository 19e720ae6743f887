"""The tensor names that Llama-like checkpoints of Hugging Face share."""

from __future__ import annotations

MATRICES = {
    "self_attn.q_proj": "query",
    "self_attn.k_proj": "key",
    "self_attn.v_proj": "value",
    "self_attn.o_proj": "attention_out",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}
NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
HEAD_NORMS = {"self_attn.q_norm": "query_norm", "self_attn.k_norm": "key_norm"}
BIASED = ("query", "key", "value")


def llama_like(
    layers: int, *, tied: bool, qkv_bias: bool = False, head_norm: bool = False
) -> dict[str, str]:
    """Checkpoint name -> name in `unmask.models.blocks.Transformer`."""
    names = {
        "model.embed_tokens.weight": "embedding.weight",
        "model.norm.weight": "norm.weight",
    }
    if not tied:
        names["lm_head.weight"] = "head.weight"
    parts = NORMS | MATRICES | (HEAD_NORMS if head_norm else {})
    for layer in range(layers):
        for theirs, ours in parts.items():
            kinds = ("weight", "bias") if qkv_bias and ours in BIASED else ("weight",)
            for kind in kinds:
                names[f"model.layers.{layer}.{theirs}.{kind}"] = f"blocks.{layer}.{ours}.{kind}"
    return names
