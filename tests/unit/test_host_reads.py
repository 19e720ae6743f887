"""How often a forward makes the host wait for a GPU: once, to read what was accepted.

There is no GPU here. Tensors of a pretended one know their shapes only, so whatever needs a number
of theirs (item, nonzero, a mask as an index, `if`) raises by itself. Copies are counted.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.loop import seeded
from unmask.decode.step import Row, step
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import ModelCard
from unmask.models.graphs import Graphed

GPU = torch.device("cuda")


class Copies(TorchFunctionMode):
    """Between the host and the pretended GPU, by name; what is read is zero."""

    def __init__(self, fake):
        super().__init__()
        self.fake, self.made = fake, Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name == "pin_memory":
            return args[0].clone()
        if name in ("to", "cuda") and args[0].device.type == "cpu" and GPU in args[1:]:
            waits = not (kwargs.get("non_blocking") and args[0] is not None)
            self.made["waits" if waits else "sent"] += 1
            return torch.empty(args[0].shape, dtype=args[0].dtype, device=GPU)
        if name in ("tensor", "as_tensor") and kwargs.get("device") is not None:
            self.made["waits"] += 1
        if name in ("cpu", "tolist", "numpy") and args[0].device.type == "cuda":
            self.made["read"] += 1
            with torch.utils._python_dispatch._disable_current_modes():
                return torch.zeros(tuple(args[0].shape), dtype=args[0].dtype)
        return function(*args, **kwargs)


def model(shift):
    body = Body(2, 16, 2, 1, 24, 60, rope_theta=1e4, norm_eps=1e-6)
    card = ModelCard("m", "m", 60, 59, (0,), 0, 64, logit_shift=shift)
    return Transformer(body, card).eval()


def rows_of(card, preset, settings, count):
    settings = {"max_new_tokens": 16, "block_length": 8, "seed": 1, **settings}
    rows = []
    for index in range(count):
        canvas = Canvas.start([1] * (3 + index), 16, card.mask_id)
        rows.append(seeded(Row(index, canvas, policy.make(card, preset, settings, {}))))
    return rows


@pytest.fixture
def gpu(monkeypatch):
    """Every tensor that is made lies on the GPU that is not there."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    copies = Copies(fake)
    with fake, copies:
        yield copies


WAYS = [
    ("vanilla", {}),
    ("fast-dllm", {}),
    ("fast-dllm", {"factor": 1.0}),
    ("fast-dllm", {"strategy": "frechet"}),
    ("fast-dllm", {"strategy": "margin"}),
    ("fast-dllm", {"strategy": "random_order"}),
    ("fast-dllm", {"temperature": 0.7, "top_p": 0.9, "top_k": 5}),
    ("dparallel", {}),
    ("d3llm", {}),
    ("d3llm", {"cache": "sliding"}),
]


@pytest.mark.parametrize(("preset", "settings"), WAYS)
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("replayed", [False, True])
def test_a_forward_reads_once_and_waits_for_nothing_else(preset, settings, shift, replayed, gpu):
    denoiser = model(shift).to(GPU)
    if replayed:
        denoiser = Graphed(denoiser, lambda call: call)
    rows = rows_of(denoiser.card, preset, settings, 3)
    store = denoiser.new_store(3, 21)
    gpu.made.clear()
    for forward in (1, 2):
        step(denoiser, store, rows)
        assert gpu.made["read"] == forward
        assert gpu.made["waits"] == 0
    assert gpu.made["sent"] > 0
