"""What do weights of 8 bits cost in accuracy, and what do they save?

    python benchmarks/int8.py products --out docs/results/int8.jsonl
    python benchmarks/int8.py tiny-fast --out docs/results/int8.jsonl
    python benchmarks/int8.py llada-8b --out docs/results/int8.jsonl
    python benchmarks/int8.py dream-7b --out docs/results/int8.jsonl

products: LLaDA-8B's shapes at 1 to 512 positions, in turn in one process, best of the rounds;
beside ours what else torch has for whole numbers on a CPU. tiny-fast: held-out stories with both
kinds of weights, in turn. The last two: slice.py's two layers with random weights, written as bf16
shards and loaded; "cached" feeds a block of 32, "refresh" all 512 positions and asks about a block.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import slice as two_layers
import unmask
from decode_speed import machine
from unmask.evaluate.memory import PeakMemory
from unmask.evaluate.tasks import stories
from unmask.models import quantized
from unmask.models.blocks import Body
from unmask.models.families import dream, llada
from unmask.models.int8 import INT8, Int8Product
from unmask.models.loading import outline

ROUNDS = 5
SHAPES = {"4096 x 4096": (4096, 4096), "12288 x 4096": (12288, 4096), "head": (126_464, 4096)}
POSITIONS = (1, 32, 64, 512)
SLOW = 32
"""Positions above which a contender that takes seconds, or the head, is left out."""
FACTS = {"mask_token_id": 1, "eos_token_id": 0, "pad_token_id": 0}


def contenders(weight: torch.Tensor) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Products of ``weight``. "one half": inputs of 7 bits, the range that of the whole tensor."""
    numbers, scale = quantized.rounded(weight, torch.int8)
    product = INT8.product(numbers, scale, None)
    assert isinstance(product, Int8Product)
    dynamic = torch.ops.quantized.linear_dynamic
    return {
        "fp32": lambda x: F.linear(x, weight),
        "unmask int8": product,
        "one half": lambda x: dynamic(x, product.packed, True),  # noqa: FBT003 - an operator's own
        "torch._weight_int8pack_mm": lambda x: torch._weight_int8pack_mm(x, numbers, scale),
        "to fp32 first": lambda x: F.linear(x, numbers.float()) * scale,
    }


@torch.inference_mode()
def products() -> dict[str, Any]:
    """Milliseconds, and how far the result is from fp32's, as a share of its norm."""
    found: dict[str, Any] = {}
    for name, (outputs, inputs) in SHAPES.items():
        weight = 0.02 * torch.randn(outputs, inputs)
        runs = contenders(weight)
        for count in POSITIONS:
            if name == "head" and count > SLOW:
                continue
            x = torch.randn(count, inputs)
            exact = F.linear(x, weight)
            least: dict[str, float] = {}
            off = {}
            for _ in range(ROUNDS):
                for who, run in runs.items():
                    if who.startswith("torch.") and (count > SLOW or name == "head"):
                        continue
                    started = time.perf_counter()
                    out = run(x)
                    took = 1000 * (time.perf_counter() - started)
                    least[who] = min(took, least.get(who, took))
                    off[who] = float((out - exact).norm() / exact.norm())
            found[f"{name}, {count}"] = {
                who: {"ms": round(least[who], 3), "off": round(off[who], 5)} for who in least
            }
    return found


def tiny_fast(count: int = 300, rounds: int = 3, batch: int = 8) -> dict[str, Any]:
    """All stories once a round and number type; the best round's rate."""
    models = {kind: unmask.load("tiny-fast", "cpu", kind) for kind in ("float32", "int8")}
    examples = list(itertools.islice(stories.examples("test", seed=1), count))
    rows: dict[str, Any] = {kind: {"stories": count} for kind in models}
    rates: dict[str, list[float]] = {kind: [] for kind in models}
    texts: dict[str, list[str]] = {}
    for _ in range(rounds):
        for kind, model in models.items():
            started = time.perf_counter()
            results = []
            for start in range(0, count, batch):
                prompts = [one.prompt for one in examples[start : start + batch]]
                results += unmask.generate(model, prompts, max_new_tokens=stories.CANVAS)
            took = time.perf_counter() - started
            texts[kind] = [one.text or "" for one in results]
            right = sum(map(stories.score, examples, texts[kind]))
            rates[kind].append(sum(one.tokens for one in results) / took)
            rows[kind] |= {
                "accuracy": round(right / count, 4),
                "forwards": sum(one.forwards for one in results),
                "tokens_per_forward": round(
                    sum(r.tokens for r in results) / sum(r.forwards for r in results), 3
                ),
            }
    for kind, own in rates.items():
        rows[kind]["tokens_per_second"] = [round(rate, 1) for rate in own]
    same = sum(a == b for a, b in zip(*texts.values(), strict=True))
    return {**rows, "same text": same, "batch": batch}


def llada_config(body: Body) -> dict[str, Any]:
    """config.json of these sizes."""
    return FACTS | {
        "model_type": "llada", "block_type": "llama", "layer_norm_type": "rms",
        "activation_type": "silu", "d_model": body.width, "n_layers": body.layers,
        "n_heads": body.heads, "n_kv_heads": body.kv_heads, "mlp_hidden_size": body.mlp_width,
        "embedding_size": body.vocabulary, "rope_theta": body.rope_theta,
        "rms_norm_eps": body.norm_eps, "weight_tying": False,
        "max_sequence_length": two_layers.LONG,
    }  # fmt: skip


def dream_config(body: Body) -> dict[str, Any]:
    """config.json of these sizes."""
    return FACTS | {
        "model_type": "Dream", "hidden_act": "silu", "hidden_size": body.width,
        "num_hidden_layers": body.layers, "num_attention_heads": body.heads,
        "num_key_value_heads": body.kv_heads, "intermediate_size": body.mlp_width,
        "vocab_size": body.vocabulary, "rope_theta": body.rope_theta,
        "rms_norm_eps": body.norm_eps, "tie_word_embeddings": False,
        "max_position_embeddings": two_layers.LONG,
    }  # fmt: skip


FAMILIES: dict[str, tuple[Any, Callable[[Body], dict[str, Any]]]] = {
    "llada-8b": (llada, llada_config),
    "dream-7b": (dream, dream_config),
}


def write(name: str, folder: Path) -> None:
    """A checkpoint of small random bf16 weights in shards: embedding, layers, norm, head."""
    family, config_of = FAMILIES[name]
    config = config_of(two_layers.SHAPES[name])
    (folder / "config.json").write_text(json.dumps(config))
    index = {
        theirs: f"model-{ours.split('.')[0]}.safetensors"
        for theirs, ours in family.weight_names(config).items()
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    weights = dict(outline(folder).denoiser.named_parameters())
    for file in set(index.values()):
        own = {}
        for theirs, ours in family.weight_names(config).items():
            if index[theirs] == file:
                drawn = 0.02 * torch.randn(weights[ours].shape)
                own[theirs] = (drawn + ("norm" in ours)).bfloat16()
        save_file(own, folder / file)


def refresh(model: unmask.Model) -> Callable[[], None]:
    """A forward that feeds the whole canvas into a store and asks about its last block."""
    ids = torch.arange(1, two_layers.CANVAS + 1)[None]
    at, ask = ids - 1, torch.arange(two_layers.CANVAS - two_layers.BLOCK, two_layers.CANVAS)[None]
    store = model.denoiser.new_store(1, two_layers.CANVAS)

    @torch.inference_mode()
    def run() -> None:
        model.denoiser(ids, at, store.rows([0]), None, ask)

    return run


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cut_model(name: str) -> dict[str, Any]:
    """Two layers, loaded from a folder in both number types."""
    torch.manual_seed(0)
    models, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        write(name, Path(folder))
        for kind in ("int8", "float32"):
            before = resident()
            with PeakMemory(torch.device("cpu")) as peak:
                models[kind] = unmask.load(folder, "cpu", kind)
            sizes[kind] = {"peak while loading": peak.bytes, "loaded": resident() - before}
            card = replace(models[kind].card, logit_shift=0)  # feeds a block, not one more
            models[kind].denoiser.card = card
    ids = list(range(5, 69))
    wide, small = (models[kind].logits(ids) for kind in ("float32", "int8"))
    found: dict[str, Any] = {
        "parameters": card.parameters,
        "MB": {k: {w: round(b / 2**20) for w, b in own.items()} for k, own in sizes.items()},
        "logits off": round(float((small - wide).norm() / wide.norm()), 4),
    }
    for what, make, rounds in (("cached", two_layers.cached_forward, 5), ("refresh", refresh, 1)):
        runs = {kind: make(model) for kind, model in models.items()}
        times = two_layers.seconds(runs, rounds)
        found[f"{what} s"] = {kind: round(min(own), 4) for kind, own in times.items()}
    return found


def main() -> None:
    """Measure, print, append one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["products", "tiny-fast", *FAMILIES])
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    what = arguments.what
    measured = {"products": products, "tiny-fast": tiny_fast}
    found = measured[what]() if what in measured else cut_model(what)
    line = {"what": what, **machine(), **found}
    print(json.dumps(line, indent=1))
    if arguments.out:
        with arguments.out.open("a") as file:
            print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
