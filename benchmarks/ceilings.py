"""What this machine can do at most: copy memory, multiply matrices.

    python benchmarks/ceilings.py

Small: what a small model's weights and products are, which stay in the processor's caches. Large:
what no cache holds. The best of many tries, with as many threads as PyTorch has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

COPIES = {"small": 4 * 2**20, "large": 256 * 2**20}
"""Bytes."""
PRODUCTS = {"small": (56, 128, 704), "large": (2048, 2048, 2048)}
"""Rows, inner and columns. Small: gate and up of the built-in models, for 56 fed positions."""


def best(run: Callable[[], object], seconds: float) -> float:
    """The fastest of the tries that fit into ``seconds``, three at least."""
    tries: list[float] = []
    while len(tries) < 3 or sum(tries) < seconds:
        started = time.perf_counter()
        run()
        tries.append(time.perf_counter() - started)
    return min(tries[1:])


def measure(seconds: float = 1.0) -> dict[str, float]:
    """GB/s of copying (read and written bytes both count) and GFLOP/s of fp32 products."""
    found = {}
    for size, count in COPIES.items():
        source = torch.ones(count // 4)
        target = torch.zeros_like(source)
        spent = best(lambda a=source, b=target: b.copy_(a), seconds)  # type: ignore[misc]
        found[f"copy {size} GB/s"] = round(2 * count / spent / 1e9, 1)
    for size, (rows, inner, columns) in PRODUCTS.items():
        x, w = torch.randn(rows, inner), torch.randn(columns, inner)
        spent = best(lambda x=x, w=w: torch.nn.functional.linear(x, w), seconds)  # type: ignore[misc]
        found[f"products {size} GFLOP/s"] = round(2 * rows * inner * columns / spent / 1e9, 1)
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
