"""How much memory does decoding take beyond the weights, with a large vocabulary?

    python benchmarks/decode_memory.py --out docs/results/decode_memory.jsonl

A model of random weights with LLaDA's vocabulary decodes the last block of a 1,024-token canvas.
The plain loop (full_canvas.py) computes logits for every row; the package only for rows it asks.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

import full_canvas
import unmask
from decode_speed import machine
from unmask.evaluate.memory import PeakMemory
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import ModelCard

VOCABULARY, CANVAS, BLOCK = 126_464, 1024, 32


def random_model() -> unmask.Model:
    """Two layers, LLaDA's vocabulary."""
    body = Body(2, 128, 4, 4, 352, VOCABULARY, rope_theta=10_000.0, norm_eps=1e-6, tied=True)
    card = ModelCard("random", "tiny", VOCABULARY, VOCABULARY - 1, (0,), 0, CANVAS)
    torch.manual_seed(0)
    return unmask.Model(Transformer(body, card).eval(), None, None, {})


def main() -> None:
    """Measure, print, append one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    model = random_model()
    prompt = list(range(1, CANVAS - BLOCK + 1))
    peaks = {}
    for warm in (True, False):  # the first pass fills allocator pools and thread buffers
        for name in ("none", "prefix", "dual"):
            with PeakMemory(torch.device("cpu")) as memory:
                unmask.generate(
                    model, [prompt], "fast-dllm", cache=name, early_stop=False,
                    strategy="fixed_steps", steps=4, max_new_tokens=BLOCK, block_length=BLOCK,
                )  # fmt: skip
            peaks[f"unmask, {name}"] = memory.bytes
        with PeakMemory(torch.device("cpu")) as memory:
            full_canvas.decode(model, prompt, BLOCK, BLOCK, threshold=0.0)
        peaks["plain loop, all logits"] = memory.bytes
        del warm
    whole = peaks["plain loop, all logits"]
    for name, peak in peaks.items():
        print(f"{name:26}{peak / 2**20:10.1f} MB{peak / whole:8.1%} of the plain loop")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        with arguments.out.open("a") as file:
            print(
                json.dumps({"command": " ".join(sys.argv), **machine(), "bytes": peaks}), file=file
            )


if __name__ == "__main__":
    main()
