"""The figures of an answer: one object for --json, one line for people."""

from __future__ import annotations

from typing import Any

import torch

from unmask.decode.generate import Result
from unmask.evaluate.memory import mark


def peak_memory() -> int:
    """Most memory in use so far, in bytes: GPU memory of this process, else its resident memory."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    return mark()


def as_object(result: Result, preset: str, model: str) -> dict[str, Any]:
    """What --json prints."""
    return {
        "text": result.text,
        "token_ids": result.token_ids,
        "tokens": result.tokens,
        "forwards": result.forwards,
        "tokens_per_forward": round(result.tokens_per_forward, 3),
        "fed_positions": result.fed_positions,
        "seconds": round(result.seconds, 4),
        "tokens_per_second": round(result.tokens_per_second, 1),
        "peak_memory_bytes": peak_memory(),
        "preset": preset,
        "model": model,
    }


def as_line(result: Result, preset: str, model: str) -> str:
    """What people read under an answer."""
    return (
        f"{model} · {preset} · {result.tokens} tokens in {result.forwards} forwards "
        f"({result.tokens_per_forward:.2f} each) · {result.seconds:.2f} s · "
        f"{result.tokens_per_second:.0f} tokens/s · {result.fed_positions} positions fed"
    )
