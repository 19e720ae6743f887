"""bfloat16: where the references keep float32 inside, so that logits are theirs to the last bit."""

from __future__ import annotations

import pytest
import torch

import unmask
from checkpoints import write_dream, write_llada
from unmask import generate
from unmask.models.blocks import Body, RMSNorm, Rotary, rotate

BF16 = torch.bfloat16


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def body(**changes):
    sizes = {"layers": 1, "width": 16, "heads": 1, "kv_heads": 1, "mlp_width": 8, "vocabulary": 8}
    return Body(**sizes, rope_theta=500000.0, norm_eps=1e-5, **changes)


def test_rms_norm_is_float32_inside_and_scales_after_the_cast():
    x, weight = (30 * noise(4, 64)).to(BF16), (1 + noise(64, seed=1)).to(BF16)
    norm = RMSNorm(64, 1e-5).to(BF16)
    norm.weight.data.copy_(weight)
    wide = x.float()
    inside = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
    assert torch.equal(norm(x), inside.to(BF16) * weight)


def test_scaling_before_the_cast_would_give_other_bits():
    """Else the test above would not tell the two orders apart."""
    x, weight = (30 * noise(4, 64)).to(BF16), (1 + noise(64, seed=1)).to(BF16)
    wide = x.float()
    inside = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
    assert not torch.equal((inside * weight.float()).to(BF16), inside.to(BF16) * weight)


def angles(positions):
    frequency = 500000.0 ** (-torch.arange(0, 16, 2, dtype=torch.float32) / 16)
    angle = positions[:, None].float() * frequency
    return torch.cat([angle, angle], -1)


def turned(x, cos, sin):
    """rotate_half, as both references write it."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


@pytest.mark.parametrize("fp32", [True, False], ids=["llada", "dream"])
def test_rotary_is_float32_for_llada_and_bf16_for_dream(fp32):
    at = torch.arange(0, 90, 7)
    x = noise(1, len(at), 1, 16).to(BF16)
    cos, sin = angles(at).cos()[None, :, None], angles(at).sin()[None, :, None]
    expected = {
        True: turned(x.float(), cos, sin).to(BF16),
        False: turned(x, cos.to(BF16), sin.to(BF16)),
    }
    found = rotate(x, *Rotary(body(rotary_fp32=fp32), 100)(at[None], BF16))
    assert torch.equal(found, expected[fp32])
    assert not torch.equal(expected[True], expected[False])


@pytest.mark.parametrize("written", [write_llada, write_dream])
def test_a_bf16_model_stays_near_its_float32_self(written, tmp_path):
    """bf16 keeps 8 bits: one part in 256 of logits up to 20, grown over two layers."""
    folder = written(tmp_path)
    wide, narrow = (unmask.load(folder, "cpu", dtype) for dtype in ("float32", "bfloat16"))
    ids = list(range(20))
    assert narrow.logits(ids).dtype == BF16
    difference = (wide.logits(ids) - narrow.logits(ids).float()).abs()
    assert difference.max() < 1
    assert difference.mean() < 0.1


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
def test_a_bf16_model_decodes(cache, tmp_path):
    model = unmask.load(write_dream(tmp_path), "cpu", "bfloat16")
    [result] = generate(
        model, [1, 2, 3], "fast-dllm", max_new_tokens=8, block_length=4, cache=cache
    )
    assert len(result.token_ids) == 8


def test_a_bf16_store_is_bf16(tmp_path):
    model = unmask.load(write_dream(tmp_path), "cpu", "bfloat16")
    assert model.denoiser.new_store(1, 4).keys.dtype == BF16
