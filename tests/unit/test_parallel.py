"""A model whose heads are shared by processes gives the logits and answers of one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import unmask
from checkpoints import GOLDEN
from ranks import together
from unmask import InputError
from unmask.models.blocks import Body
from unmask.models.parallel import check

LENGTH, WIDTH = 24, 8
PROMPTS = {"tiny": ["Mia has 3 apples. She buys 4 apples. How many apples does Mia have now?"]}
PRESETS = {"llada-tiny": "fast-dllm", "dream-tiny": "d3llm", "tiny": "fast-dllm"}


def exact(model):
    """In float64, where the order of a sum changes nothing that could be seen."""
    model.denoiser.double()
    return model


def forwards(model):
    """Logits of a full forward, of one through the store, and of a block that reads the rest."""
    denoiser = model.denoiser
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 90, (2, LENGTH), generator=draw)
    at = torch.arange(LENGTH).expand(2, -1)
    keep = torch.ones(2, LENGTH, dtype=torch.bool)
    keep[1, -3:] = False
    with torch.inference_mode():
        found = {"full": denoiser(ids, at), "kept": denoiser(ids, at, keep_BL=keep)}
        store = denoiser.new_store(2, LENGTH)
        rows = store.rows([0, 1])
        found["stored"] = denoiser(ids, at, rows)
        block = slice(LENGTH - WIDTH, LENGTH)
        ask = torch.tensor([[0, 3], [2, 5]])
        found["block"] = denoiser(ids[:, block] // 2, at[:, block], rows, ask_BA=ask)
    return found, store


def answers(model, name):
    prompts = PROMPTS.get(name, [[1, 7, 9], [4, 5, 6, 7, 8]])
    how = {"max_new_tokens": 16, "block_length": 8}
    results = unmask.generate(model, prompts, PRESETS[name], **how)
    return [[result.token_ids, result.forwards] for result in results]


def rank(out: Path, names):
    for name in names:
        place = GOLDEN / name if (GOLDEN / name).is_dir() else name
        whole, model = unmask.load(place, "cpu"), unmask.load(place, "cpu", parallel=True)
        rough = forwards(model)[0]["full"]
        exact(model)
        number, count = torch.distributed.get_rank(), torch.distributed.get_world_size()
        found, store = forwards(model)
        found["rough"] = rough
        heads = whole.denoiser.body.kv_heads
        assert store.keys.shape[-2] == heads // count, "a store has the heads of its process"
        assert model.card.parameters == whole.card.parameters
        held = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
                for one in model.denoiser.parameters()}  # fmt: skip
        embedding = model.denoiser.embedding.weight.nbytes
        shared = (8 * (model.card.parameters + extra(whole)) - embedding) / count
        assert sum(held.values()) < embedding + 1.05 * shared, (name, len(held))
        save_file(found, out / f"{name}-{number}.safetensors")
        (out / f"{name}-{number}.json").write_text(json.dumps(answers(model, name)))


def extra(whole):
    """A head that was the embedding holds its rows once more."""
    return whole.denoiser.head.weight.numel() if whole.denoiser.body.tied else 0


@pytest.mark.slow
def test_two_processes_give_the_logits_and_the_answers_of_one(tmp_path):
    assert together(2, rank, tmp_path, list(PRESETS)) == [0, 0]
    for name in PRESETS:
        model = unmask.load(GOLDEN / name if name != "tiny" else name, "cpu")
        rough = forwards(model)[0]["full"]
        expected = forwards(exact(model))[0]
        logits = [load_file(tmp_path / f"{name}-{number}.safetensors") for number in (0, 1)]
        for key, tensor in expected.items():
            assert torch.allclose(logits[0][key], tensor, rtol=0, atol=1e-5), (name, key)
            assert torch.equal(logits[0][key], logits[1][key]), "the same bits for both"
        assert torch.allclose(logits[0]["rough"], rough, rtol=0, atol=1e-4), "joint maps, float32"
        told = [json.loads((tmp_path / f"{name}-{number}.json").read_text()) for number in (0, 1)]
        assert told[0] == told[1] == answers(model, name)


def body(heads, kv_heads, mlp_width):
    return Body(2, 8 * heads, heads, kv_heads, mlp_width, 100, 1e4, 1e-5)


def test_heads_that_cannot_be_shared_are_named():
    check(body(28, 4, 18944), 4)  # Dream 7B, but for its vocabulary
    with pytest.raises(InputError, match=r"8 processes cannot share 28 heads, 4 key heads, "):
        check(body(28, 4, 18944), 8)
    with pytest.raises(InputError, match="take 1 or 2 or 4"):
        check(body(28, 4, 18944), 3)


def test_without_torchrun_there_is_nobody_to_share_with(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(InputError, match="torchrun --nproc-per-node 2"):
        unmask.load("tiny", "cpu", parallel=True)
