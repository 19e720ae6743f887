"""dtype="fp8": products as near as e4m3 allows, loaded and joint, and refused where they cannot be.

A CPU takes the very calls that a GPU does, so all of it runs here; tests marked gpu say the same of
tensor cores, whose sums differ.
"""

from __future__ import annotations

import itertools
from shutil import which

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import unmask
from checkpoints import write_dream, write_llada, write_sdar
from unmask.errors import InputError
from unmask.evaluate.tasks import stories
from unmask.models import quantized
from unmask.models.fp8 import FP8, narrow
from unmask.models.graphs import Graphed

CPU, GPU = torch.device("cpu"), torch.device("cuda")
E4M3 = torch.float8_e4m3fn


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def linear(weight, bias=None):
    made = nn.Linear(weight.shape[1], len(weight), bias=False, device="meta")
    numbers, scale = quantized.rounded(weight, E4M3)
    made.weight = nn.Parameter(numbers, requires_grad=False)
    made.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    made.register_buffer("scale", scale)
    return made


def packed(*maps):
    return quantized.Packed(maps, FP8)


def off(found, wanted):
    return ((found.double() - wanted).norm() / wanted.norm()).item()


def most_off(x):
    """By how much rounding may move numbers: half a step, which near zero no longer shrinks."""
    step = x.abs().amax(-1, keepdim=True) / 448
    return x.abs() / 16 + step * 2**-10


@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**31),
    st.floats(0, 6),
)  # fmt: skip
def test_a_product_is_as_near_as_rounding_allows(rows, inputs, outputs, seed, spread):
    """Numbers of very different size in one row, too; the last term is what bfloat16 adds."""
    x = noise(rows, 16 * inputs, seed=seed)
    x = (x * 10 ** (spread * noise(*x.shape, seed=seed + 1))).bfloat16()
    weight = noise(16 * outputs, 16 * inputs, seed=seed + 2)
    found = packed(linear(weight))(x).double()
    x, weight = x.double(), weight.double()
    exact, sizes = x @ weight.T, x.abs() @ weight.abs().T
    worst = (x.abs() + most_off(x)) @ (weight.abs() + most_off(weight)).T - sizes
    assert ((found - exact).abs() <= 1.01 * worst + exact.abs() / 200).all()


@pytest.mark.parametrize("inputs", [32, 4096])
def test_sums_of_random_numbers_are_four_hundredths_off(inputs):
    weight, x = noise(48, inputs), noise(33, inputs, seed=1).bfloat16()
    assert 0.03 < off(packed(linear(weight))(x), x.double() @ weight.double().T) < 0.045


def test_rounding_keeps_the_greatest_and_is_half_a_step_off_at_most():
    weight = noise(7, 48) * torch.logspace(-6, 6, 7)[:, None]
    for numbers, scale in (quantized.rounded(weight, E4M3), narrow(weight)):
        wide, counts = numbers.double(), scale.double().view(-1, 1)
        assert numbers.dtype == E4M3
        assert wide.abs().amax(1).tolist() == [448] * 7
        assert ((wide * counts - weight).abs() <= 1.001 * most_off(weight)).all()


def test_zeros_stay_zeros():
    product = packed(linear(torch.zeros(16, 32)), linear(noise(16, 32)))
    found = product(torch.cat([torch.zeros(1, 32), torch.ones(1, 32)]).bfloat16())
    assert not found[0].any()
    assert not found[1, :16].any()
    assert found[1, 16:].all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none_and_in_its_row(value):
    x = noise(3, 32).bfloat16()
    x[1, 4] = value
    found = packed(linear(noise(16, 32)))(x)
    assert not found[1].isfinite().any()
    assert found[[0, 2]].isfinite().all()


def test_an_outlier_does_not_blind_its_position():
    weight, x = noise(64, 256), noise(4, 256, seed=2)
    x[:, 7] = 100.0
    one, rest = linear(weight), x.double()
    rest[:, 7] = 0
    found = packed(one)(x.bfloat16()).double() - 100.0 * one.weight[:, 7].double() * one.scale
    assert off(found, rest @ weight.double().T) < 0.06


def test_a_bias_is_added_and_shapes_are_kept():
    weight, bias = noise(16, 32), noise(16, seed=1).bfloat16()
    x = noise(2, 3, 32, seed=2).bfloat16()
    found = packed(linear(weight, bias))(x)
    assert (found.shape, found.dtype) == ((2, 3, 16), torch.bfloat16)
    assert torch.allclose(found, packed(linear(weight))(x) + bias, rtol=0.02, atol=0.02)


def test_inputs_may_lie_column_by_column():
    product, x = packed(linear(noise(16, 32))), noise(32, 5).bfloat16()
    assert torch.equal(product(x.t()), product(x.t().contiguous()))


def written(kind, folder):
    """A random checkpoint of sizes that 16 divides."""
    if kind == "llada":
        return write_llada(folder, embedding_size=48)
    if kind == "sdar":
        return write_sdar(folder, vocab_size=48, head_dim=16)
    return write_dream(folder, vocab_size=48)


@pytest.mark.parametrize("kind", ["llada", "dream", "sdar"])
def test_a_checkpoint_loads_and_says_about_the_same(kind, tmp_path):
    """Tolerance: 12 % of the logits' norm, for two random layers of width 32."""
    wide, small = (unmask.load(written(kind, tmp_path), "cpu", d) for d in ("float32", "fp8"))
    ids = list(range(40))
    assert 0.01 < off(small.logits(ids), wide.logits(ids)) < 0.12
    assert small.card == wide.card
    assert small.denoiser.dtype == "fp8"
    assert {weight.dtype for weight in small.denoiser.parameters()} == {torch.bfloat16}
    assert small.denoiser.new_store(1, 8).keys.dtype == torch.bfloat16


def test_what_is_multiplied_is_what_the_file_holds(tmp_path):
    wide, small = (unmask.load(written("dream", tmp_path), "cpu", d) for d in ("float32", "fp8"))
    block, own = wide.denoiser.blocks[1], small.denoiser.blocks[1]
    for product, names in (
        (own.joints[0], ["query", "key", "value"]), (own.joints[1], ["gate", "up"]),
        (own.attention_out.whole, ["attention_out"]), (own.down.whole, ["down"]),
    ):  # fmt: skip
        weight = torch.cat([getattr(block, name).weight for name in names])
        numbers, scale = quantized.rounded(weight, E4M3)
        assert torch.equal(product.product.weight_IO.t().float(), numbers.float())
        assert torch.equal(product.product.scale_1O[0], scale)
        assert product.bytes == weight.numel() + 4 * len(weight)


def test_a_tied_head_is_a_rounded_copy_of_the_embedding():
    wide, small = (unmask.load("tiny-fast", "cpu", dtype) for dtype in ("bfloat16", "fp8"))
    weight = wide.denoiser.embedding.weight
    numbers, scale = quantized.rounded(weight, E4M3)
    product = small.denoiser.head.whole.product
    assert torch.equal(small.denoiser.embedding.weight, weight)
    assert torch.equal(product.weight_IO.t().float(), numbers.float())
    assert torch.equal(product.scale_1O[0], scale)
    assert small.card == wide.card


def test_maps_and_their_joint_products_are_one_thing(tmp_path):
    block = unmask.load(written("dream", tmp_path), "cpu", "fp8").denoiser.blocks[0]
    x = noise(1, 3, 32).bfloat16()
    for joint, names in zip(block.joints, (["query", "key", "value"], ["gate", "up"]), strict=True):
        parts = [getattr(block, name) for name in names]
        assert torch.equal(joint(x), torch.cat([part(x) for part in parts], -1))
        assert joint.stands_for(*parts)
        assert not joint.stands_for(nn.Sequential(parts[0]), *parts[1:])


def test_a_joint_product_is_that_of_each():
    maps = [linear(noise(16, 32, seed=seed), noise(16).bfloat16()) for seed in (1, 2, 3)]
    x = noise(5, 32, seed=4).bfloat16()
    assert torch.equal(packed(*maps)(x), torch.cat([packed(one)(x) for one in maps], -1))


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("tiny-fast", "cpu"),
        pytest.param("tiny", "cpu", marks=pytest.mark.slow),
        pytest.param("tiny-fast", "cuda", marks=pytest.mark.gpu),
    ],
)
def test_the_built_in_models_still_calculate(name, device):
    """On a CPU 20 of 20 held-out stories are right. The texts need not be fp32's: the last bit of a
    scale moved those that are from 16 to 10 of 20."""
    examples = list(itertools.islice(stories.examples("test", seed=1), 20))
    model = unmask.load(name, device, "fp8")
    prompts = [one.prompt for one in examples]
    results = unmask.generate(model, prompts, max_new_tokens=stories.CANVAS, batch_size=4)
    assert sum(map(stories.score, examples, [one.text for one in results])) >= 19


def test_buckets_of_static_shape_say_the_same(tmp_path):
    """What CUDA graphs replay; rows of different padding are rounded alike."""
    model = unmask.load(written("llada", tmp_path), "cpu", "fp8").denoiser
    ids, at = torch.arange(5)[None], torch.arange(8, 13)[None]
    plain, static = (
        one(ids, at, one.new_store(1, 30).rows([0], 30))
        for one in (model, Graphed(model, lambda call: call))
    )
    assert off(static, plain.double()) < 0.02


class Calls(torch.utils._python_dispatch.TorchDispatchMode):
    """What a GPU would be asked to do."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names = [*getattr(self, "names", []), func.name()]
        return func(*args, **(kwargs or {}))


def test_a_product_is_five_launches_and_reads_nothing_on_the_host():
    product, x = packed(linear(noise(16, 32))), noise(5, 32).bfloat16()
    with torch.inference_mode(), Calls() as calls:
        product(x)
    free = {"aten::view", "aten::_unsafe_view", "aten::reshape", "aten::empty.memory_format"}
    assert [name for name in calls.names if name not in free] == [
        "aten::linalg_vector_norm", "aten::div_.Tensor",
        "aten::clamp_min_", "aten::div.out", "aten::_scaled_mm_v2"
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_rounding_is_the_same():
    """torch.compile made something else of a shorter way to write it."""
    compiled = torch.compile(narrow, dynamic=True)
    with torch.inference_mode():
        for count in (5, 9):
            x = noise(count, 64).bfloat16()
            (numbers, scale), (same, as_much) = narrow(x), compiled(x)
            assert torch.equal(numbers.float(), same.float())
            assert torch.allclose(scale, as_much)


@pytest.mark.parametrize(
    ("device", "parallel", "parts"),
    [
        ("mps", False, ["'fp8'", "'mps'", "'bfloat16'"]),
        ("cpu", True, ["'fp8'", "parallel=True", "drop"]),
    ],
)
def test_it_is_refused_where_it_cannot_be(device, parallel, parts):
    with pytest.raises(InputError) as error:
        quantized.check(FP8, torch.device(device), parallel=parallel)
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0)])
def test_an_old_gpu_is_refused(capability, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    if capability >= (8, 9):
        quantized.check(FP8, GPU, parallel=False)
    else:
        wanted = rf"'fp8' needs compute capability 8.9.*'cuda' has 8.{capability[1]}.*bfloat16"
        with pytest.raises(InputError, match=wanted):
            quantized.check(FP8, GPU, parallel=False)


def test_an_amd_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")
    with pytest.raises(InputError, match=r"'fp8' is for an NVIDIA GPU.*bfloat16"):
        quantized.check(FP8, GPU, parallel=False)


def test_other_sizes_are_refused(tmp_path):
    wanted = r"dtype='fp8' takes sizes that are multiples of 16, and head maps 32 numbers to 40; "
    with pytest.raises(InputError, match=wanted + "take dtype='bfloat16'"):
        unmask.load(write_dream(tmp_path), "cpu", "fp8")


def test_training_is_refused(tmp_path):
    model = unmask.load(written("dream", tmp_path), "cpu", "fp8").denoiser
    model.requires_grad_(requires_grad=True)
    ids = torch.arange(4)[None]
    with pytest.raises(InputError, match=r"dtype='fp8' cannot be trained; .*float32"):
        model(ids, ids)
    with torch.no_grad():
        assert model(ids, ids).isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("positions", [1, 33, 300])
@pytest.mark.parametrize("sizes", [(4096, 4096), (3584, 512), (12288, 4096)], ids=str)
def test_tensor_cores_multiply_the_same_numbers(positions, sizes):
    """Against fp32's product of the numbers, and of the rounded numbers: what sums lose."""
    inputs, outputs = sizes
    weight = noise(outputs, inputs).cuda()
    bias, x = (noise(*s, seed=1).cuda().bfloat16() for s in ((outputs,), (positions, inputs)))
    one = linear(weight, bias)
    found = packed(one)(x)
    assert off(found, (x.float() @ weight.T + bias).double()) < 0.045
    numbers, scale = narrow(x)
    exact = (numbers.double() * scale) @ (one.weight.double() * one.scale[:, None]).T + bias
    assert off(found, exact) < 0.01


@pytest.mark.gpu
def test_a_graph_captures_a_product():
    product, x = packed(linear(noise(64, 32).cuda())), noise(5, 32).cuda().bfloat16()
    with torch.inference_mode():
        for _ in range(2):
            product(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = product(x)
        x.copy_(noise(5, 32, seed=1))
        graph.replay()
        assert torch.equal(found, product(x))
