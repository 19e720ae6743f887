"""Forwards in static buckets: what is added to them changes nothing.

Sums over wider rows are ordered otherwise: float64 weights, and 1e-9 where digits are compared.
"""

from __future__ import annotations

import gc
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import unmask
from checkpoints import GOLDEN
from doubles import FakeDenoiser
from unmask.evaluate import examples as tasks
from unmask.evaluate.run import Contestant, run
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import Denoiser, ModelCard
from unmask.models.graphs import WIDEST, Bucket, Graphed, bucket_of, cuda_graphs, current
from unmask.models.store import KeyValueStore, StoreSize

NEAR = 1e-9
PROMPTS = [[3, 4, 5], [6] * 9, [2] * 5, [7, 1] * 8, [9], [11, 3], [1] * 12]
SIZES = {"max_new_tokens": 24, "block_length": 8}


class Counted:
    """In place of a graph: the same forward again, counted."""

    def __init__(self):
        self.captures = self.replays = 0

    def __call__(self, call):
        self.captures += 1

        def again():
            self.replays += 1
            return call()

        return again


def graphed(model):
    counted = Counted()
    return replace(model, denoiser=Graphed(model.denoiser, counted)), counted


def store_of(rows, length):
    return KeyValueStore(StoreSize(1, rows, length, 1, 2), torch.float32, torch.device("cpu"))


@pytest.mark.parametrize(
    ("slots", "width", "length", "wanted"),
    [
        ([0], 32, 300, Bucket(1, 32, 512)),
        ([1], 33, 300, Bucket(2, 48, 512)),
        ([0, 1, 2], 1, 1, Bucket(4, 16, 256)),
        ([4, 3, 2, 1, 0], 40, 513, Bucket(8, 48, 600)),
        ([0, 3, 5, 6, 8], 40, 600, Bucket(9, 48, 600)),
        ([5], 40, 600, None),
        ([0, 3, 5, 8], 40, 600, None),
        ([0], WIDEST, 10, Bucket(1, WIDEST, 256)),
        ([0], WIDEST + 1, 10, None),
    ],
)
def test_buckets_by_hand(slots, width, length, wanted):
    """A store of nine slots and the spare one, of 600 positions."""
    assert bucket_of(slots, width, length, store_of(10, 600)) == wanted


@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("fast-dllm", {"threshold": 0.3}),
        ("fast-dllm", {"cache": "prefix", "factor": 1.0}),
        ("d3llm", {"cache": "sliding", "threshold": 1.0}),
        ("d3llm", {"threshold": 2.0}),
    ],
)
@pytest.mark.parametrize("batch", [1, 5])
def test_texts_are_those_of_the_plain_model(name, preset, settings, batch, exact_models):
    model = exact_models[name]
    static, counted = graphed(model)
    plain, found = (
        unmask.generate(one, PROMPTS, preset, batch_size=batch, **SIZES, **settings)
        for one in (model, static)
    )
    for a, b in zip(plain, found, strict=True):
        assert a.token_ids == b.token_ids
        assert a.trajectory.born_L.tolist() == b.trajectory.born_L.tolist()
    assert counted.replays > counted.captures > 0


def filled(denoiser, rows, length):
    """A store after a forward of whole canvases; the same for every denoiser."""
    store = denoiser.new_store(rows, length)
    ids = torch.arange(rows * length).reshape(rows, length) % 50
    at = torch.arange(length).expand(rows, length)
    denoiser(ids, at, store.rows(range(rows), length))
    return store


@pytest.mark.parametrize("slots", [[0, 1, 2, 3, 4], [0, 2, 3, 4], [1, 2, 3]])
@pytest.mark.parametrize("keep", [False, True])
def test_logits_and_stored_keys_are_those_of_the_plain_forward(slots, keep, exact_models):
    """Twice, so that the second call meets what the first one left in the buffers."""
    plain = exact_models["dream-tiny"].denoiser
    counted = Counted()
    static = Graphed(plain, counted)
    stores = [filled(one, 5, 40) for one in (plain, static)]
    before = counted.captures, counted.replays
    generator = torch.Generator().manual_seed(0)
    for first in (10, 7):
        ids = torch.randint(50, (len(slots), 11), generator=generator)
        at = torch.arange(first, first + 11).expand(len(slots), -1)
        mask = torch.rand(len(slots), 37, generator=generator) < 0.7
        mask[:, first : first + 11] = True
        ask = torch.randint(11, (len(slots), 4), generator=generator)
        given = [mask if keep else None, ask]
        calls = zip((plain, static), stores, strict=True)
        a, b = (one(ids, at, store.rows(slots, 37), *given) for one, store in calls)
        assert (a - b).abs().max() < NEAR
        for kind in ("keys", "values"):
            wanted, found = (getattr(store, kind) for store in stores)
            assert (wanted - found[:, :5, :40]).abs().max() < NEAR
    assert (counted.captures - before[0], counted.replays - before[1]) == (1, 2)


def test_only_the_spare_slot_is_written_for_rows_that_are_not_there(exact_models):
    static = Graphed(exact_models["llada-tiny"].denoiser, Counted())
    store = filled(static, 5, 40)
    before = store.keys.clone()
    ids = torch.ones(3, 4, dtype=torch.int64)
    static(ids, ids.cumsum(1), store.rows([0, 1, 3], 40))
    touched = (store.keys != before).flatten(2).any(-1).any(0)
    assert touched.tolist() == [s in (0, 1, 3, len(touched) - 1) for s in range(len(touched))]


def test_a_store_that_nobody_holds_is_given_again_with_its_graphs(exact_models):
    static, counted = graphed(exact_models["llada-tiny"])
    settings = {"threshold": 0.3, **SIZES}
    first = unmask.generate(static, PROMPTS[0], "fast-dllm", **settings)[0]
    gc.collect()
    captures = counted.captures
    second = unmask.generate(static, PROMPTS[0], "fast-dllm", **settings)[0]
    assert first.token_ids == second.token_ids
    assert counted.captures == captures


def test_stores_in_use_are_apart_and_begin_empty(exact_models):
    static = Graphed(exact_models["llada-tiny"].denoiser, Counted())
    one, two = filled(static, 1, 20), static.new_store(1, 20)
    assert one.keys.any()
    assert not two.keys.any()
    place = one.keys.data_ptr()
    del one
    gc.collect()
    again = static.new_store(1, 20)
    assert again.keys.data_ptr() == place
    assert not again.keys.any()


@pytest.mark.parametrize("span", [1, 4])
def test_models_that_look_left_may_be_replayed(span):
    body = Body(2, 16, 2, 1, 24, 60, rope_theta=1e4, norm_eps=1e-6)
    card = ModelCard("m", "m", 60, 59, (0,), 0, 64, logit_shift=1, span=span)
    plain = Transformer(body, card).double().eval()
    static = Graphed(plain, Counted())
    ids, at = torch.arange(5)[None], torch.arange(8, 13)[None]
    a, b = (one(ids, at, filled(one, 1, 30).rows([0], 30), None, None) for one in (plain, static))
    assert (a - b).abs().max() < NEAR


def test_without_a_store_the_plain_model_answers(exact_models):
    plain = exact_models["llada-tiny"].denoiser
    static = Graphed(plain, Counted())
    ids = torch.arange(6)[None]
    assert torch.equal(static(ids, ids), plain(ids, ids))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
def test_captured_graphs_give_the_texts_of_the_plain_model(name):
    model = unmask.load(GOLDEN / name, "cuda", "float32")
    model = replace(model, denoiser=deepcopy(model.denoiser).double())
    static = replace(model, denoiser=Graphed(model.denoiser, cuda_graphs()))
    for batch in (1, 5):
        plain, found = (
            unmask.generate(one, PROMPTS, "fast-dllm", batch_size=batch, threshold=0.3, **SIZES)
            for one in (model, static)
        )
        assert [one.token_ids for one in plain] == [one.token_ids for one in found]


@pytest.mark.parametrize("kind", [Graphed, Transformer, FakeDenoiser])
def test_whoever_stands_for_a_denoiser_has_all_that_one_has(kind):
    names = {name for name in vars(Denoiser) if not name.startswith("_")}
    assert {"device", "dtype", "new_store"} <= names
    assert [name for name in names if not hasattr(kind, name)] == []


def test_it_can_be_evaluated(exact_models):
    model = unmask.load("tiny")
    static, _ = graphed(model)
    task = tasks.find("stories")
    questions = dict(enumerate(tasks.examples(task, 2)))
    plain, found = (
        list(run(Contestant(one, "tiny", "0", "fast-dllm", "x"), task, questions))
        for one in (model, static)
    )
    assert [one.text for one in found] == [one.text for one in plain]
    assert {one.dtype for one in found} == {"float32"}
    assert graphed(exact_models["llada-tiny"])[0].denoiser.dtype == "float64"


def test_a_graph_is_captured_on_the_gpu_of_its_buffers(monkeypatch):
    """The runtime is a double: a stream or graph of another GPU could not read them."""
    seen = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: seen.append(device) or nullcontext())
    for name in ("cuda:1", "cpu"):
        with current(torch.device(name)):
            pass
    assert seen == [torch.device("cuda:1")]
