"""Tiny checkpoints: where the golden ones lie, and random ones, written as the published ones are.

The key sets are spelled out here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
WIDTH, MLP, VOCABULARY, LENGTH = 32, 48, 40, 96
MASK, END = VOCABULARY - 1, VOCABULARY - 2

LLADA_CONFIG = {
    "model_type": "llada",
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "d_model": WIDTH,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 4,
    "mlp_hidden_size": MLP,
    "embedding_size": VOCABULARY,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "weight_tying": False,
    "max_sequence_length": LENGTH,
    "mask_token_id": MASK,
    "eos_token_id": END,
    "pad_token_id": END,
}
DREAM_CONFIG = {
    "model_type": "Dream",
    "hidden_act": "silu",
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": MLP,
    "vocab_size": VOCABULARY,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "max_position_embeddings": LENGTH,
    "mask_token_id": MASK,
    "eos_token_id": END,
    "pad_token_id": END,
}
PADLESS = {name: value for name, value in DREAM_CONFIG.items() if name != "pad_token_id"}
FAST_DLLM_V2_CONFIG = {
    **PADLESS,
    "model_type": "Fast_dLLM_Qwen",
    "bd_size": 8,
}
SDAR_CONFIG = {
    **PADLESS,
    "model_type": "sdar",
    "attention_bias": False,
    "head_dim": 12,  # 4 heads of 12 in a body of 32
    "block_size": 4,
}
CAUSAL_CONFIG = {
    **{name: value for name, value in DREAM_CONFIG.items() if name != "hidden_act"},
    "model_type": "unmask-tiny",
    "num_key_value_heads": 4,
    "tie_word_embeddings": True,
    "causal": True,
}


def llada_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Three tensors, and nine a layer."""
    width, mlp, vocabulary = (
        config[name] for name in ("d_model", "mlp_hidden_size", "embedding_size")
    )
    shapes: dict[str, tuple[int, ...]] = {
        "model.transformer.wte.weight": (vocabulary, width),
        "model.transformer.ln_f.weight": (width,),
        "model.transformer.ff_out.weight": (vocabulary, width),
    }
    for layer in range(config["n_layers"]):
        block = f"model.transformer.blocks.{layer}"
        for name in ("attn_norm", "ff_norm"):
            shapes[f"{block}.{name}.weight"] = (width,)
        for name in ("q_proj", "k_proj", "v_proj", "attn_out"):
            shapes[f"{block}.{name}.weight"] = (width, width)
        for name in ("ff_proj", "up_proj"):
            shapes[f"{block}.{name}.weight"] = (mlp, width)
        shapes[f"{block}.ff_out.weight"] = (width, mlp)
    return shapes


def dream_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Three tensors, and twelve a layer (biases on query, key and value)."""
    width, mlp, vocabulary = (
        config[name] for name in ("hidden_size", "intermediate_size", "vocab_size")
    )
    narrow = width * config["num_key_value_heads"] // config["num_attention_heads"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, width),
        "model.norm.weight": (width,),
        "lm_head.weight": (vocabulary, width),
    }
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{block}.{name}.weight"] = (width,)
        for name, size in (("q_proj", width), ("k_proj", narrow), ("v_proj", narrow)):
            shapes[f"{block}.self_attn.{name}.weight"] = (size, width)
            shapes[f"{block}.self_attn.{name}.bias"] = (size,)
        shapes[f"{block}.self_attn.o_proj.weight"] = (width, width)
        for name in ("gate_proj", "up_proj"):
            shapes[f"{block}.mlp.{name}.weight"] = (mlp, width)
        shapes[f"{block}.mlp.down_proj.weight"] = (width, mlp)
    return shapes


def sdar_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Three tensors, and eleven a layer: no biases, norms of queries and keys."""
    width, head = config["hidden_size"], config["head_dim"]
    query, narrow = (head * config[name] for name in ("num_attention_heads", "num_key_value_heads"))
    shapes = {name: shape for name, shape in dream_shapes(config).items() if "bias" not in name}
    for layer in range(config["num_hidden_layers"]):
        part = f"model.layers.{layer}.self_attn"
        for name, size in (("q_proj", query), ("k_proj", narrow), ("v_proj", narrow)):
            shapes[f"{part}.{name}.weight"] = (size, width)
        shapes[f"{part}.o_proj.weight"] = (width, query)
        for name in ("q_norm", "k_norm"):
            shapes[f"{part}.{name}.weight"] = (head,)
    return shapes


def causal_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """As Dream without biases and with a tied head."""
    shapes = dream_shapes(config)
    return {
        name: shape for name, shape in shapes.items() if "bias" not in name and "head" not in name
    }


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Weights of a scale at which confidences range from a fifth to nearly one."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        draw = torch.randn(shape, generator=generator)
        if "norm" in name or "ln_f" in name:
            tensors[name] = 1 + 0.1 * draw
        elif len(shape) == 1:
            tensors[name] = 0.5 * draw
        else:
            tensors[name] = draw * (1.0 if "embed" in name or "wte" in name else shape[1] ** -0.5)
    for name in tensors:
        if name in {"model.transformer.ff_out.weight", "lm_head.weight"}:
            tensors[name] *= 3
    return tensors


def write(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    """A checkpoint of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def write_llada(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random LLaDA checkpoint."""
    config = {**LLADA_CONFIG, **changes}
    return write(folder, config, random_tensors(llada_shapes(config), seed))


def write_dream(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random Dream checkpoint."""
    config = {**DREAM_CONFIG, **changes}
    return write(folder, config, random_tensors(dream_shapes(config), seed))


def write_fast_dllm_v2(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random Fast-dLLM v2 checkpoint; its tensors are those of Dream."""
    config = {**FAST_DLLM_V2_CONFIG, **changes}
    return write(folder, config, random_tensors(dream_shapes(config), seed))


def write_sdar(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random SDAR checkpoint."""
    config = {**SDAR_CONFIG, **changes}
    return write(folder, config, random_tensors(sdar_shapes(config), seed))


def write_causal(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random causal checkpoint of the built-in family."""
    config = {**CAUSAL_CONFIG, **changes}
    return write(folder, config, random_tensors(causal_shapes(config), seed))
