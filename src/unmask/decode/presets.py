"""The published systems as presets, and what their authors set per model family."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # One token per forward, the whole canvas every time, to the end of it: LLaDA as published.
    "vanilla": {
        "schedule": "blocks", "strategy": "fixed_steps", "cache": "none", "early_stop": False
    },
    # Wu et al. 2025. Early exit is ours: it leaves the text before the end token as it is.
    "fast-dllm": {"schedule": "blocks", "strategy": "threshold", "cache": "dual"},
    # Chen et al. 2025: the decoder of the certainty-forced students.
    "dparallel": {"schedule": "blocks", "strategy": "low_entropy", "cache": "none"},
    # d3LLM 2026: several blocks in flight, delayed cache with refresh, early stop.
    "d3llm": {"schedule": "pipelined", "strategy": "low_entropy", "cache": "delayed"},
    # Wu et al. 2025b: a token is believed above 0.9, in sub-blocks of 8 of the model's 32.
    "fast-dllm-v2": {
        "schedule": "blocks", "strategy": "threshold", "cache": "causal", "block_length": 8
    },
    # Cheng et al. 2025, low_confidence_dynamic: all of the model's block at once.
    "sdar": {"schedule": "blocks", "strategy": "threshold", "cache": "causal"},
    # The autoregressive baseline.
    "ar": {"schedule": "left_to_right", "strategy": "fixed_steps", "cache": "causal"},
}  # fmt: skip
ABOUT = {
    "vanilla": "one token per forward, no cache, no early exit (the published baseline)",
    "fast-dllm": "block-wise KV cache and confidence-aware parallel decoding (Fast-dLLM)",
    "dparallel": "block by block, every token of low entropy at once (dParallel)",
    "d3llm": "several blocks in flight, delayed cache with refresh (d3LLM)",
    "fast-dllm-v2": "sub-blocks of blocks, exact KV cache (Fast-dLLM v2; block-causal models)",
    "sdar": "block by block, exact KV cache (SDAR; block-causal models)",
    "ar": "left to right with an ordinary KV cache (causal models only)",
}
FAVOURITE = {"tiny-fast": "d3llm"}
"""The preset of a built-in model when none is asked for; others get fast-dllm."""
OWN = {"fast_dllm_v2": "fast-dllm-v2", "sdar": "sdar"}
"""The same by family for models that do not look at the whole text; causal ones get ar."""
OURS = ("horizon",)
"""Of what is tuned, that which no reference has: ``compat`` leaves it out."""
TUNED: dict[tuple[str, str], dict[str, Any]] = {
    # d3LLM repository, eval_scripts: its dParallel rows for GSM8K and MATH.
    ("dparallel", "llada"): {"threshold": 0.5},
    ("dparallel", "dream"): {"threshold": 0.45},
    # The same, its own cached rows: LLaDA GSM8K (threshold, delay) with the refresh interval that
    # all its other tasks leave out; Dream GSM8K. Blocks enter at 0.1 everywhere.
    ("d3llm", "llada"): {"threshold": 0.5, "block_add_threshold": 0.1, "delay": 2},
    ("d3llm", "dream"): {"threshold": 0.4, "block_add_threshold": 0.1, "delay": 1},
    # SDAR repository, generate.py: the default of confidence_threshold. Fast-dLLM v2's 0.9
    # (run_chatbot.py) is that of the strategy.
    ("sdar", "sdar"): {"threshold": 0.85},
    # Measured on 200 held-out stories, docs/results/pipelined.jsonl.
    ("fast-dllm", "tiny"): {"threshold": 0.95},
    ("d3llm", "tiny"): {"threshold": 0.05, "cache": "sliding"},
    # Measured on 500 held-out stories, docs/results/student.jsonl; the horizon: docs/log.md.
    ("d3llm", "tiny-fast"): {"threshold": 0.1, "horizon": 0},
}
