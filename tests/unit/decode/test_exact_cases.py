"""Where a cache has to change nothing at all, and what positions mean."""

from __future__ import annotations

import pytest
import torch

import unmask
from checkpoints import write_dream, write_llada
from doubles import births
from unmask import generate

CACHES = ["none", "prefix", "dual"]
PROMPT = [5, 17, 30, 2, 11]
RULES = [
    {"strategy": "fixed_steps"},
    {"strategy": "fixed_steps", "steps": 4},
    {"strategy": "threshold", "threshold": 0.5},
    {"strategy": "factor", "factor": 1.5},
    {"strategy": "frechet", "delta": 0.0},
]
every_model = pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
two_caches = pytest.mark.parametrize("cache", ["prefix", "dual"])


def decoded(model, cache, rule, **limits):
    """Tokens and births of an answer of 16 in blocks of 4."""
    limits = {"max_new_tokens": 16, "block_length": 4, "early_stop": False, **limits}
    [result] = generate(model, PROMPT, "fast-dllm", cache=cache, **rule, **limits)
    return result.token_ids, births(result)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
@pytest.mark.parametrize(
    "written",
    [lambda at: write_llada(at, n_layers=1), lambda at: write_dream(at, num_hidden_layers=1)],
    ids=["llada", "dream"],
)
def test_one_layer_decodes_alike_with_every_cache(written, rule, tmp_path):
    """Keys of the only layer depend on token and place alone, so nothing stored can be stale."""
    model = unmask.load(written(tmp_path), device="cpu")
    found = [decoded(model, cache, rule) for cache in CACHES]
    assert found[0] == found[1] == found[2]


@every_model
@two_caches
def test_deeper_models_tell_a_cache_from_none(name, cache, models):
    """Else the test above would prove nothing."""
    rule = {"strategy": "fixed_steps"}
    assert decoded(models[name], cache, rule) != decoded(models[name], "none", rule)


@every_model
@pytest.mark.parametrize("start", [1, 7, 16])
@pytest.mark.parametrize("length", [4, 8])
def test_right_after_a_refresh_a_cached_forward_gives_the_rows_of_a_full_one(
    name, start, length, models
):
    """Tolerance for the order of sums in float32; logits reach 20."""
    denoiser = models[name].denoiser
    generator = torch.Generator().manual_seed(start)
    ids = torch.randint(0, 124, (1, 30), generator=generator)
    at = torch.arange(30)[None]
    rows = denoiser.new_store(1, 30).rows([0])
    with torch.inference_mode():
        full = denoiser(ids, at, rows)
        for stop in (start + length, 30):
            fed = slice(start, stop)
            cached = denoiser(ids[:, fed], at[:, fed], rows)
            assert (cached - full[:, fed]).abs().max() < 1e-4


@every_model
@two_caches
def test_blocks_of_one_token_decode_alike_with_every_cache(name, cache, models):
    """Every forward is a refresh, at any depth."""
    rule = {"strategy": "threshold", "threshold": 0.5}
    with_cache = decoded(models[name], cache, rule, block_length=1)
    assert with_cache == decoded(models[name], "none", rule, block_length=1)
    assert len(with_cache[1]) == 16


@every_model
@pytest.mark.parametrize("cache", CACHES)
def test_one_block_at_threshold_zero_is_one_forward(name, cache, models):
    _, written = decoded(models[name], cache, {"threshold": 0.0}, block_length=16)
    assert written == [list(range(5, 21))]


@every_model
@pytest.mark.parametrize("offset", [1, 37, 200])
def test_logits_do_not_change_when_all_positions_are_moved(name, offset, models):
    """Rotary scores see differences of positions only; tolerance for angles in float32."""
    denoiser = models[name].denoiser
    ids = torch.arange(20)[None]
    at = torch.arange(20)[None]
    with torch.inference_mode():
        assert (denoiser(ids, at) - denoiser(ids, at + offset)).abs().max() < 1e-3


@every_model
def test_logits_change_when_tokens_change_places(name, models):
    denoiser = models[name].denoiser
    ids, at = torch.arange(6)[None], torch.arange(6)[None]
    with torch.inference_mode():
        assert (denoiser(ids, at) - denoiser(ids, at * 2)).abs().max() > 1e-2


@every_model
def test_the_order_in_which_positions_are_fed_does_not_matter(name, models):
    """Positions are absolute: the same tokens at the same places are the same text."""
    denoiser = models[name].denoiser
    order = torch.tensor([3, 0, 4, 1, 2])
    ids, at = torch.tensor([[8, 6, 7, 5, 3]]), torch.arange(5)[None]
    with torch.inference_mode():
        shuffled = denoiser(ids[:, order], at[:, order])
        assert (denoiser(ids, at)[:, order] - shuffled).abs().max() < 1e-4


@every_model
def test_asked_rows_are_those_of_the_full_answer(name, models):
    denoiser = models[name].denoiser
    ids, at = torch.arange(10, 30)[None], torch.arange(20)[None]
    ask = torch.tensor([[4, 19, 4]])
    with torch.inference_mode():
        assert (denoiser(ids, at, ask_BA=ask) - denoiser(ids, at)[:, ask[0]]).abs().max() < 1e-4
