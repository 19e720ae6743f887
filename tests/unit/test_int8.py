"""Weights of 8 bits: near the model they come from, small, and refused where they cannot be."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import unmask
from checkpoints import GOLDEN, VOCABULARY, write_dream, write_llada, write_sdar
from unmask.errors import InputError
from unmask.models import int8, quantized
from unmask.models.int8 import INT8

CPU = torch.device("cpu")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rounded(weight):
    return quantized.rounded(weight, torch.int8)


def packed(*maps):
    return quantized.Packed(maps, INT8)


def linear(outputs, inputs, seed=1, bias=False):
    made = nn.Linear(inputs, outputs, bias=bias).requires_grad_(requires_grad=False)
    numbers, scale = rounded(noise(outputs, inputs, seed=seed))
    made.weight = nn.Parameter(numbers, requires_grad=False)
    made.register_buffer("scale", scale)
    return made


def exact(one, x):
    """The product of fp64 numbers with the same rounded weights."""
    out = x.double() @ (one.weight.double() * one.scale.double()[:, None]).T
    return out if one.bias is None else out + one.bias.double()


def off(found, wanted):
    return ((found - wanted).norm() / wanted.norm()).item()


def test_rounding_is_off_by_half_a_step_at_most():
    weight = noise(7, 33)
    numbers, scale = rounded(weight)
    assert numbers.dtype == torch.int8
    assert numbers.abs().amax(1).tolist() == [127] * 7
    assert ((numbers * scale[:, None] - weight).abs() <= scale[:, None] * 0.5001).all()


def test_a_row_of_zeros_stays_zero():
    numbers, scale = rounded(torch.zeros(2, 3))
    assert not (numbers * scale[:, None]).any()
    assert not packed(linear(5, 3))(torch.zeros(2, 3)).any()


@pytest.mark.parametrize("inputs", [3, 352, 18944])
@pytest.mark.parametrize("bias", [False, True])
def test_inputs_keep_their_digits(inputs, bias):
    """14 bits of every number, while the weights' own rounding costs 0.6 % and more."""
    maps = [linear(12, inputs, 1, bias), linear(5, inputs, 2, bias)]
    x = noise(2, 3, inputs, seed=3)
    wanted = torch.cat([exact(one, x) for one in maps], -1)
    found = packed(*maps)(x)
    assert found.shape == (2, 3, 17)
    assert off(found, wanted) < 1e-3


def test_an_outlier_does_not_blind_its_position():
    """A hundred times the others, as in the residual stream of big models: 7 bits lose the rest."""
    one, x = linear(64, 256), noise(4, 256, seed=2)
    x[:, 7] = 100.0
    rest = x.clone()
    rest[:, 7] = 0
    found = packed(one)(x) - 100.0 * one.weight[:, 7] * one.scale
    assert off(found, exact(one, rest)) < 0.03


def test_the_greatest_numbers_do_not_overflow():
    one = linear(4, 4096)
    one.weight.data.fill_(127)
    x = torch.ones(2, 4096)
    assert off(packed(one)(x), exact(one, x)) < 1e-5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none_and_in_its_row(value):
    x = noise(3, 32)
    x[1, 4] = value
    found = packed(linear(8, 32))(x)
    assert not found[1].isfinite().any()
    assert found[[0, 2]].isfinite().all()


def test_a_row_has_the_bits_it_has_alone():
    product, x = packed(linear(40, 96)), noise(9, 96) * torch.logspace(-6, 6, 9)[:, None]
    assert torch.equal(product(x), torch.cat([product(row[None]) for row in x]))


def both(folder):
    return [unmask.load(folder, "cpu", dtype) for dtype in ("float32", "int8")]


@pytest.mark.parametrize("written", [write_llada, write_dream, write_sdar])
def test_logits_are_near_those_of_all_digits(written, tmp_path):
    """Tolerance: 4 % of the logits' norm, for two random layers of width 32."""
    wide, small = both(written(tmp_path))
    ids = list(range(VOCABULARY))
    assert 0 < off(small.logits(ids), wide.logits(ids)) < 0.04
    assert small.card == wide.card
    assert (wide.denoiser.dtype, small.denoiser.dtype) == ("float32", "int8")


@pytest.mark.parametrize("name", ["tiny-fast", GOLDEN / "llada-tiny", GOLDEN / "dream-tiny"])
def test_nothing_but_the_weights_is_rounded(name):
    """A float32 model of the same rounded weights says the same, but for the fourth digit."""
    wide, small = both(name)
    for weight in wide.denoiser.parameters():
        if weight.dim() > 1:
            numbers, scale = rounded(weight)
            weight.data.copy_(numbers * scale[:, None])
    ids = list(range(VOCABULARY))
    assert off(small.logits(ids), wide.logits(ids)) < 2e-3


def test_a_tied_head_is_the_rounded_embedding():
    wide, small = both("tiny-fast")
    weight = wide.denoiser.embedding.weight
    numbers, scale = rounded(weight)
    ids = torch.arange(len(weight))
    assert torch.equal(small.denoiser.embedding(ids), numbers * scale[:, None])
    x = noise(2, weight.shape[1])
    assert off(small.denoiser.head(x), x @ weight.T) < 0.01


def test_maps_and_their_joint_products_are_one_thing(tmp_path):
    block = unmask.load(write_dream(tmp_path), "cpu", "int8").denoiser.blocks[0]
    x = noise(1, 3, 32)
    parts = [block.query(x), block.key(x), block.value(x)]
    assert torch.equal(block.joints[0](x), torch.cat(parts, -1))
    assert block.joints[0].stands_for(block.query, block.key, block.value)
    block.key = nn.Sequential(block.key)
    assert not block.joints[0].stands_for(block.query, block.key, block.value)


def test_the_built_in_model_still_calculates():
    small = unmask.load("tiny-fast", "cpu", "int8")
    question = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
    [result] = unmask.generate(small, [question])
    assert result.text.endswith("The answer is 19.")


MEASURE = """
import sys, torch, unmask
from unmask.evaluate.memory import _give_back, _status
def resident():
    _give_back()
    return _status("VmRSS")
def load():
    return unmask.load(sys.argv[1], "cpu", sys.argv[2])
first = load()
before = resident()
models = [load() for _ in range(4)]
print((resident() - before) / 4 / (4 * first.card.parameters))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_that_of_bytes(tmp_path):
    """As a share of four bytes a weight; 15 million weights."""
    folder = write_dream(
        tmp_path, hidden_size=512, intermediate_size=2048, num_hidden_layers=3, vocab_size=2000
    )
    shares = {}
    for dtype in ("float32", "int8"):
        command = [sys.executable, "-c", MEASURE, str(folder), dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        shares[dtype] = float(done.stdout)
    assert 0.9 < shares["float32"] < 1.2
    assert 0.2 < shares["int8"] < 0.32


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (
            lambda: quantized.check(INT8, torch.device("cuda"), parallel=False),
            ["'int8'", "'cuda'", "'cpu'"],
        ),
        (lambda: quantized.check(INT8, CPU, parallel=True), ["'int8'", "parallel=True", "drop"]),
    ],
    ids=["gpu", "parallel"],
)
def test_it_is_refused_where_it_cannot_be(call, parts):
    with pytest.raises(InputError) as error:
        call()
    assert all(part in str(error.value) for part in parts)


def test_a_torch_without_the_kernels_is_refused(monkeypatch):
    monkeypatch.delattr(torch, int8.MAKER)
    with pytest.raises(InputError, match=r"needs FBGEMM.*float32"):
        unmask.load(GOLDEN / "dream-tiny", "cpu", "int8")


def test_training_is_refused(tmp_path):
    model = unmask.load(write_dream(tmp_path), "cpu", "int8").denoiser
    model.requires_grad_(requires_grad=True)
    ids = torch.arange(4)[None]
    with pytest.raises(InputError, match=r"dtype='int8' cannot be trained; .*float32"):
        model(ids, ids)
    with torch.no_grad():
        assert model(ids, ids).isfinite().all()
