"""How often a forward makes the host wait for a GPU: once, to read what was accepted.

There is no GPU here. In its place stands PyTorch's meta device, whose tensors have shapes and no
numbers, so whatever needs one (item, nonzero, a mask as an index, `if`) raises by itself. Copies
between the two are counted.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode

from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.loop import seeded
from unmask.decode.step import Row, step
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import ModelCard
from unmask.models.graphs import Graphed

GPU = torch.device("meta")


class Copies(TorchFunctionMode):
    """Counts copies to the GPU that wait (``waits``) or do not (``sent``), and reads (``reads``).

    What is read is zero.
    """

    def __init__(self):
        super().__init__()
        self.made = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name == "pin_memory":
            return args[0].clone()  # needs a GPU
        if name in ("tensor", "as_tensor") and kwargs.get("device") is not None:
            self.made["waits"] += kwargs["device"].type == GPU.type
        if name == "to" and args[0].device.type == "cpu" and GPU in args[1:]:
            self.made["sent" if kwargs.get("non_blocking") else "waits"] += 1
        if args and isinstance(args[0], torch.Tensor) and args[0].device.type == GPU.type:
            home = name == "to" and torch.device("cpu") in args[1:]
            if home or name in ("cpu", "numpy", "tolist"):
                self.made["reads"] += 1
                return torch.zeros(args[0].shape, dtype=args[0].dtype)
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
def test_a_forward_reads_once_and_waits_for_nothing_else(preset, settings, shift, replayed):
    denoiser = model(shift).to(GPU)
    if replayed:
        denoiser = Graphed(denoiser, lambda call: call)
    rows = rows_of(denoiser.card, preset, settings, 3)
    store = denoiser.new_store(3, 21)
    for _ in range(3):
        with Copies() as copies:
            step(denoiser, store, rows)
        assert copies.made["reads"] == 1
        assert copies.made["waits"] == 0
        assert copies.made["sent"] > 0


def test_rows_of_different_strategies_read_once_together():
    denoiser = model(0).to(GPU)
    rows = rows_of(denoiser.card, "fast-dllm", {}, 2) + rows_of(denoiser.card, "dparallel", {}, 2)
    with Copies() as copies:
        step(denoiser, denoiser.new_store(4, 21), rows)
    assert (copies.made["reads"], copies.made["waits"]) == (1, 0)


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: torch.tensor([1], device=GPU),
        lambda x: torch.ones(2).to(GPU),
        lambda x: x.cpu(),
        lambda x: x.to(torch.device("cpu")),
        lambda x: x.tolist(),
    ],
)
def test_waiting_would_be_seen(waiting):
    with Copies() as copies:
        waiting(torch.empty(3, device=GPU))
    assert copies.made["waits"] + copies.made["reads"] == 1


@pytest.mark.parametrize(
    "needing", [lambda x: x.sum().item(), lambda x: x.nonzero(), lambda x: x[x > 0], bool]
)
def test_needing_a_number_raises(needing):
    with pytest.raises((RuntimeError, NotImplementedError)):
        needing(torch.empty(1, device=GPU))
