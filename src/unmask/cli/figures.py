"""The figures of an answer: one object for --json, one line for people."""

from __future__ import annotations

from typing import Any

from unmask.decode.generate import Result
from unmask.errors import counted
from unmask.evaluate.memory import peak
from unmask.models.loading import Model


def as_object(result: Result, preset: str, model: Model) -> dict[str, Any]:
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
        "peak_memory_bytes": peak(model.denoiser.device),
        "preset": preset,
        "model": model.card.name,
    }


def as_line(result: Result, preset: str, model: str) -> str:
    """What people read under an answer."""
    return (
        f"{model} · {preset} · {counted(result.tokens, 'token')} in "
        f"{counted(result.forwards, 'forward')} "
        f"({result.tokens_per_forward:.2f} each) · {result.seconds:.2f} s · "
        f"{result.tokens_per_second:.0f} tokens/s · "
        f"{counted(result.fed_positions, 'position')} fed"
    )
