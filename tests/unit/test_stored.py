"""Files and tensors beside those that a model needs: which of two sets of weights counts, tied
heads, and buffers that older libraries store."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

import unmask
from checkpoints import (
    write_causal,
    write_dream,
    write_fast_dllm_v2,
    write_llada,
    write_sdar,
)
from unmask import CheckpointError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
IDS = [1, 2, 3]
TIES = {
    "llada": ("weight_tying", "model.transformer.wte.weight", "model.transformer.ff_out.weight"),
    "dream": ("tie_word_embeddings", "model.embed_tokens.weight", "lm_head.weight"),
    "sdar": ("tie_word_embeddings", "model.embed_tokens.weight", "lm_head.weight"),
    "fast_dllm_v2": ("tie_word_embeddings", "model.embed_tokens.weight", "lm_head.weight"),
}
WRITERS = {
    "llada": write_llada,
    "dream": write_dream,
    "sdar": write_sdar,
    "fast_dllm_v2": write_fast_dllm_v2,
}
MORE = {"fast_dllm_v2": {"mask_token_id": 39}}
every_family = pytest.mark.parametrize("family", sorted(TIES))


def load(folder):
    return unmask.load(folder, device="cpu")


def rewrite(folder, change):
    tensors = load_file(folder / SINGLE)
    change(tensors)
    save_file(tensors, folder / SINGLE)
    return folder


def shard(folder, keep=False):
    """The same tensors in two files with an index; ``keep`` leaves the one where it is."""
    tensors = load_file(folder / SINGLE)
    files = {name: f"model-{at % 2 + 1:05}-of-00002.safetensors" for at, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({n: t for n, t in tensors.items() if files[n] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    if not keep:
        (folder / SINGLE).unlink()
    return folder


def tied(family, folder, change):
    """A tied checkpoint whose tensors ``change`` has seen, with the names of embedding and head."""
    field, embedding, head = TIES[family]
    WRITERS[family](folder, **{field: True}, **MORE.get(family, {}))
    return rewrite(folder, lambda tensors: change(tensors, embedding, head))


@pytest.mark.parametrize("shards", ["both", "one", "none"])
def test_an_index_beside_a_file_that_it_does_not_name_is_ambiguous(shards, tmp_path):
    """Older weights in two files, newer ones in one; or what is left of the older ones."""
    shard(write_llada(tmp_path, seed=1), keep=True)
    left = {"both": 2, "one": 1, "none": 0}[shards]
    for path in sorted(tmp_path.glob("model-*"))[left:]:
        path.unlink()
    write_llada(tmp_path, seed=2)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    assert f"has both {SINGLE} and {INDEX}" in str(caught.value)
    (tmp_path / INDEX).unlink()
    newer = load(write_llada(tmp_path / "newer", seed=2))
    assert torch.equal(load(tmp_path).logits(IDS), newer.logits(IDS))


def test_an_index_of_the_one_file_is_no_other_word(tmp_path):
    plain = load(write_llada(tmp_path)).logits(IDS)
    names = dict.fromkeys(load_file(tmp_path / SINGLE), SINGLE)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": names}))
    assert torch.equal(load(tmp_path).logits(IDS), plain)


def test_an_index_may_name_the_one_file_and_others(tmp_path):
    plain = load(write_llada(tmp_path)).logits(IDS)
    tensors = load_file(tmp_path / SINGLE)
    names = dict.fromkeys(tensors, SINGLE)
    moved = min(tensors)
    save_file({moved: tensors.pop(moved)}, tmp_path / "more.safetensors")
    save_file(tensors, tmp_path / SINGLE)
    index = {"weight_map": {**names, moved: "more.safetensors"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert torch.equal(load(tmp_path).logits(IDS), plain)


def test_shards_without_an_index_do_not_count(tmp_path):
    plain = load(write_llada(tmp_path)).logits(IDS)
    save_file({"stray": torch.ones(1)}, tmp_path / "model-00001-of-00002.safetensors")
    assert torch.equal(load(tmp_path).logits(IDS), plain)


def test_an_index_that_names_no_file_is_refused(tmp_path):
    (shard(write_llada(tmp_path)) / INDEX).write_text('{"weight_map": {}}')
    with pytest.raises(CheckpointError, match=r"is no weight index .*names no file"):
        load(tmp_path)


def test_a_tensor_in_two_shards_is_named_with_both(tmp_path):
    shard(write_llada(tmp_path))
    first, second = sorted(tmp_path.glob("model-*"))
    twice = dict([next(iter(load_file(first).items()))])
    save_file(load_file(second) | twice, second)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    assert f"tensor {next(iter(twice))!r} is in {first.name} and in {second.name}" in str(
        caught.value
    )


@every_family
def test_a_tied_pair_may_be_stored_under_either_name_or_both(family, tmp_path):
    def embedding_alone(tensors, embedding, head):
        tensors.pop(head, None)

    def both(tensors, embedding, head):
        tensors[head] = tensors[embedding].clone()

    def head_alone(tensors, embedding, head):
        tensors[head] = tensors.pop(embedding)

    found = []
    for number, change in enumerate((embedding_alone, both, head_alone)):
        model = load(tied(family, tmp_path / str(number), change))
        assert model.denoiser.head.weight is model.denoiser.embedding.weight
        found.append(model.logits(IDS))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def one_off(tensors, embedding, head):
    tensors[head] = tensors[embedding].clone()
    tensors[head][-1, -1] += 0.001


def another_type(tensors, embedding, head):
    tensors[head] = tensors[embedding].bfloat16()


def another_shape(tensors, embedding, head):
    tensors[head] = tensors[embedding][:-1].clone()


@pytest.mark.parametrize("change", [one_off, another_type, another_shape])
@every_family
def test_a_tied_pair_that_differs_is_refused_by_name(family, change, tmp_path):
    _, embedding, head = TIES[family]
    with pytest.raises(CheckpointError) as caught:
        load(tied(family, tmp_path, change))
    assert f"tensor {head!r} differs from {embedding!r}, but config.json ties" in str(caught.value)


@every_family
def test_an_untied_head_that_is_missing_is_named(family, tmp_path):
    head = TIES[family][2]
    WRITERS[family](tmp_path, **MORE.get(family, {}))
    with pytest.raises(CheckpointError, match=f"tensor '{head}' is missing"):
        load(rewrite(tmp_path, lambda tensors: tensors.pop(head)))


def test_a_tied_pair_may_lie_in_two_files(tmp_path):
    def both(tensors, embedding, head):
        tensors[head] = tensors[embedding].clone()

    tied("dream", tmp_path, both)
    plain = load(tmp_path).logits(IDS)
    assert torch.equal(load(shard(tmp_path)).logits(IDS), plain)


def test_another_family_s_head_is_a_stray(tmp_path):
    def stray(tensors):
        tensors["model.transformer.ff_out.weight"] = tensors["model.embed_tokens.weight"].clone()

    with pytest.raises(CheckpointError, match=r"unexpected tensor 'model\.transformer\.ff_out"):
        load(rewrite(write_causal(tmp_path), stray))


def frequencies(theta, width):
    return 1.0 / theta ** (torch.arange(0, width, 2) / width)


BUFFERS = {
    "llada": ("model.transformer.blocks.0.rotary_emb.inv_freq", 5e5, 8),
    "dream": ("model.layers.1.self_attn.rotary_emb.inv_freq", 1e6, 8),
    "fast_dllm_v2": ("model.rotary_emb.inv_freq", 1e6, 8),
    "sdar": ("model.rotary_emb.inv_freq", 1e6, 12),
}


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@every_family
def test_stored_frequencies_are_left_aside(family, kind, tmp_path):
    name, theta, width = BUFFERS[family]
    WRITERS[family](tmp_path, **MORE.get(family, {}))
    plain = load(tmp_path).logits(IDS)
    more = {name: frequencies(theta, width).to(kind)}
    assert torch.equal(load(rewrite(tmp_path, lambda t: t.update(more))).logits(IDS), plain)


@pytest.mark.parametrize(
    "change", [lambda f: f / 2, lambda f: f[:-1], lambda f: f.clone().fill_(1)]
)
@every_family
def test_stored_frequencies_of_other_positions_are_refused(family, change, tmp_path):
    """The weights were trained with other positions than config.json says."""
    name, theta, width = BUFFERS[family]
    WRITERS[family](tmp_path, **MORE.get(family, {}))
    more = {name: change(frequencies(theta, width))}
    with pytest.raises(CheckpointError, match=f"tensor '{name}' holds other frequencies"):
        load(rewrite(tmp_path, lambda t: t.update(more)))


def test_frequencies_and_heads_as_transformers_had_them(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            vocab_size=40, max_position_embeddings=96, bos_token_id=1, eos_token_id=2,
            tie_word_embeddings=True,
        )  # fmt: skip
        theirs = LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    buffer = theirs.model.rotary_emb.inv_freq
    tensors = {name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()}
    for layer in range(2):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = buffer.clone()
    assert "lm_head.weight" in tensors
    save_file(tensors, tmp_path / SINGLE)
    ids = [3, 9, 27, 31]
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0]
    assert torch.allclose(load(tmp_path).logits(ids)[1:], expected[:-1], atol=1e-4)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.bool])
def test_weights_that_were_quantised_are_refused(kind, tmp_path):
    name = "model.norm.weight"
    folder = write_causal(tmp_path)
    with pytest.raises(CheckpointError, match=f"tensor '{name}' is of type {str(kind)[6:]}; only"):
        load(rewrite(folder, lambda tensors: tensors.update({name: tensors[name].to(kind)})))


def test_the_8_bit_forms_take_a_tied_head_stored_twice(tmp_path):
    plain = unmask.load(write_causal(tmp_path), device="cpu", dtype="int8").logits(IDS)
    twice = shutil.copytree(tmp_path, tmp_path / "twice")
    rewrite(twice, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    assert torch.equal(unmask.load(twice, device="cpu", dtype="int8").logits(IDS), plain)
