"""A slice of an 8B model on a CPU: what does a forward cost beside its matrix products?

    python benchmarks/slice.py --out docs/results/slice.jsonl

Two layers of LLaDA-8B's or Dream-7B's shape with its whole vocabulary and random weights. A cached
forward of one 32-token block at a 512-token canvas is timed in turn with the bare matrix products
of the same shapes (attention's two among them), and with a plain forward of the whole canvas. Peak
memory beyond the weights is that of one block at a 1,024-token canvas, against the plain loop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import full_canvas
import unmask
from decode_speed import machine
from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.step import Row, step
from unmask.evaluate.memory import PeakMemory
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import ModelCard

SHAPES = {
    "llada-8b": Body(2, 4096, 32, 32, 12288, 126_464, rope_theta=5e5, norm_eps=1e-5),
    "dream-7b": Body(2, 3584, 28, 4, 18944, 152_064, rope_theta=1e6, norm_eps=1e-6, qkv_bias=True),
}
BLOCK, CANVAS, LONG = 32, 512, 1024


def random_model(
    body: Body,
    name: str,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    **facts: Any,
) -> unmask.Model:
    """Small random weights, so that nothing overflows; ``facts`` of the card."""
    facts = {"max_length": LONG, **facts}
    card = ModelCard(name, name, body.vocabulary, body.vocabulary - 1, (0,), 0, **facts)
    with torch.device("meta"):
        denoiser = Transformer(body, card)
    denoiser = denoiser.to(dtype).to_empty(device=device)
    denoiser.card = replace(card, parameters=sum(w.numel() for w in denoiser.parameters()))
    generator = torch.Generator(device).manual_seed(0)
    for where, weight in denoiser.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.02, generator=generator)
        else:
            torch.nn.init.constant_(weight, float("norm" in where))
    denoiser.join()
    return unmask.Model(denoiser.eval(), None, None, {})


def cached_forward(model: unmask.Model) -> Callable[[], None]:
    """A forward of the first block behind a prompt, its refresh being done."""
    settings = {"max_new_tokens": BLOCK, "block_length": BLOCK, "steps": BLOCK}
    made = policy.make(model.card, "fast-dllm", {**settings, "strategy": "fixed_steps"}, {})
    start = Canvas.start(list(range(1, CANVAS - BLOCK + 1)), BLOCK, model.card.mask_id)
    row = Row(0, start, made)
    store = model.denoiser.new_store(1, CANVAS)
    step(model.denoiser, store, [row])
    memory = row.memory
    began = row.canvas

    def run() -> None:
        row.canvas, row.memory = began, memory
        step(model.denoiser, store, [row])
        assert row.fed.pop() == BLOCK

    return run


def products(model: unmask.Model) -> Callable[[], None]:
    """The matrix products of that forward and nothing else."""
    denoiser = model.denoiser
    assert isinstance(denoiser, Transformer)
    body = denoiser.body
    maps = [one for one in denoiser.modules() if isinstance(one, nn.Linear)]
    inputs = [torch.randn(1, BLOCK, one.in_features) for one in maps]
    q = torch.randn(1, body.heads, BLOCK, body.head_width)
    k = torch.randn(1, body.heads, body.head_width, CANVAS)
    share = torch.randn(1, body.heads, BLOCK, CANVAS)
    v = torch.randn(1, body.heads, CANVAS, body.head_width)

    @torch.inference_mode()
    def run() -> None:
        for x, one in zip(inputs, maps, strict=True):
            F.linear(x, one.weight)
        for _ in range(body.layers):
            torch.matmul(q, k)
            torch.matmul(share, v)

    return run


def plain_forward(model: unmask.Model) -> Callable[[], None]:
    """A forward of the whole canvas with the logits of all rows and their soft-max in fp64."""
    ids = torch.arange(CANVAS)[None]

    @torch.inference_mode()
    def run() -> None:
        logits: Tensor = model.denoiser(ids, ids)
        torch.softmax(logits.double(), -1).max(-1)

    return run


def seconds(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Of every run, in turn, round by round, after one to warm up."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                found[name].append(time.perf_counter() - started)
    return found


def memory(model: unmask.Model) -> dict[str, int]:
    """Peak bytes beyond the weights while the last block of a long canvas is decoded."""
    prompt = list(range(1, LONG - BLOCK + 1))
    peaks = {}
    for _ in range(2):  # the first pass fills allocator pools and thread buffers
        with PeakMemory(torch.device("cpu")) as peak:
            unmask.generate(model, [prompt], "fast-dllm", early_stop=False, strategy="fixed_steps",
                            steps=2, max_new_tokens=BLOCK, block_length=BLOCK)  # fmt: skip
        peaks["unmask, dual"] = peak.bytes
        with PeakMemory(torch.device("cpu")) as peak:
            full_canvas.decode(model, prompt, BLOCK, BLOCK, threshold=0.0)
        peaks["plain loop"] = peak.bytes
    return peaks


def main() -> None:
    """Measure, print, append one JSON line a shape."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    for name in arguments.shape:
        model = random_model(SHAPES[name], name)
        runs = {"products": products(model), "cached forward": cached_forward(model)}
        times = seconds(runs, arguments.rounds)
        pairs = zip(times["cached forward"], times["products"], strict=True)
        whole = seconds({"plain forward": plain_forward(model)}, 1)["plain forward"]
        line: dict[str, Any] = {
            "shape": name,
            **machine(),
            **{f"{kind} s": round(statistics.median(own), 4) for kind, own in times.items()},
            "plain forward s": round(whole[0], 4),
            "cached forward to products": round(statistics.median(a / b for a, b in pairs), 3),
            "peak MB": {kind: round(size / 2**20, 1) for kind, size in memory(model).items()},
        }
        print(json.dumps(line, indent=1))
        del model, runs
        if arguments.out:
            with arguments.out.open("a") as file:
                print(json.dumps(line), file=file)


if __name__ == "__main__":
    main()
