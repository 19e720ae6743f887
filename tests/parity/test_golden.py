"""Reference numbers of public code: logits within 2e-4, everything about decoding exactly.

The tolerance is for the order of sums in float32: logits reach 20, and an independent
implementation of the same formulas differs by up to 7e-5.
"""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from checkpoints import GOLDEN
from doubles import births
from unmask import generate

TOLERANCE = 2e-4
END = 125
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
FULL = [case for case in EXPECTED["forward_cases"] if "/full/" in case["id"]]
CACHED = [case for case in EXPECTED["forward_cases"] if "/cached/" in case["id"]]


def cases(found):
    return pytest.mark.parametrize("case", found, ids=[case["id"] for case in found])


@pytest.fixture(scope="module")
def tensors():
    return load_file(GOLDEN / "expected.safetensors")


def near(found, expected):
    assert found.shape == expected.shape
    return (found - expected).abs().max().item() < TOLERANCE


@torch.inference_mode()
def forward(model, ids, start, stop, rows=None):
    """Logits about [start, stop) when these positions are fed and all stored ones are seen."""
    at = torch.arange(start, stop)[None].expand(len(ids), -1)
    return model.denoiser(ids[:, start:stop], at, rows)


def refreshed(model, ids):
    """A store that holds the keys and values of a full forward on ``ids``, and its logits."""
    rows = model.denoiser.new_store(1, ids.shape[1]).rows([0])
    return rows, forward(model, ids, 0, ids.shape[1], rows)


@cases(FULL)
def test_a_full_forward_gives_the_reference_logits(case, models, tensors):
    ids, logits = (tensors[case["tensors"][name]] for name in ("ids", "logits"))
    assert near(forward(models[case["model"]], ids, 0, ids.shape[1]), logits)


@cases([case for case in FULL if "aligned_logits" in case["tensors"]])
def test_model_logits_are_aligned_to_the_token_they_speak_about(case, models, tensors):
    ids, aligned = (tensors[case["tensors"][name]] for name in ("ids", "aligned_logits"))
    found = [models[case["model"]].logits(row.tolist()) for row in ids]
    assert near(torch.stack(found), aligned)


@cases(CACHED)
def test_a_refresh_through_the_store_gives_the_reference_logits(case, models, tensors):
    ids = tensors[case["tensors"]["ids_at_refresh"]]
    _, logits = refreshed(models[case["model"]], ids)
    assert near(logits, tensors[case["tensors"]["refresh_logits"]])


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@cases(CACHED)
def test_cached_forwards_give_the_reference_logits(case, cache, models, tensors):
    """Both steps without a refresh between them, so that the store is really stale."""
    names, model = case["tensors"], models[case["model"]]
    ids = tensors[names["ids_at_refresh"]]
    rows, _ = refreshed(model, ids)
    stop = ids.shape[1] if cache == "prefix" else case["block_end"]
    for step in (1, 2):
        now = tensors[names[f"ids_step_{step}"]]
        logits = forward(model, now, case["block_start"], stop, rows)
        assert near(logits, tensors[names[f"{cache}_logits_step_{step}"]])


@cases(CACHED)
def test_a_full_forward_does_not_match_a_stale_cache(case, models, tensors):
    """The cases above would prove nothing if the cache did not matter."""
    names, block = case["tensors"], slice(case["block_start"], case["block_end"])
    ids, stale = tensors[names["ids_step_1"]], tensors[names["dual_logits_step_1"]]
    fresh = forward(models[case["model"]], ids, 0, ids.shape[1])[:, block]
    assert (fresh - stale).abs().max() > 1


NAMES = {
    "entropy_threshold": "threshold",
    "block_size": "block_length",
    "cache_delay_iter": "delay",
    "refresh_interval": "refresh",
}


def overrides(case):
    """The reference's parameters in our names; its ``steps`` mean nothing beside a threshold,
    nor does ``decoded_token_threshold``."""
    given = dict(case["parameters"])
    if "entropy_threshold" in given:
        del given["steps" if "steps" in given else "decoded_token_threshold"]
        return {"strategy": "low_entropy", **{NAMES.get(k, k): v for k, v in given.items()}}
    if given.keys() & {"factor", "threshold"}:
        given.pop("steps", None)
    else:
        given["strategy"] = "fixed_steps"
    return given


@cases(EXPECTED["generation_cases"])
def test_decoding_replays_the_reference(case, models):
    """Tokens, number of forwards, positions written and positions fed, forward by forward."""
    [result] = generate(
        models[case["model"]],
        case["prompt_ids"],
        "d3llm" if "multi_block" in case["id"] else "fast-dllm",
        cache=case["cache"],
        compat="reference",
        **overrides(case),
    )
    assert case["prompt_ids"] + result.token_ids == case["output_ids"]
    assert result.forwards == case["forwards"]
    # What an early stop cuts off becomes padding, which is born with the cut.
    stopped = case["parameters"].get("early_stop", False)
    last = case["output_ids"].index(END) if stopped else len(case["output_ids"])
    expected = case["committed_positions"]
    for found, written in zip(births(result), expected, strict=True):
        assert [p for p in found if p <= last] == sorted(p for p in written if p <= last)
    assert case["fed"] in (None, result.trajectory.fed.tolist())
