"""Checkpoint folders: exact key sets, what is refused and how the message says so."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import unmask
from checkpoints import (
    DREAM_CONFIG,
    FAST_DLLM_V2_CONFIG,
    LLADA_CONFIG,
    SDAR_CONFIG,
    dream_shapes,
    llada_shapes,
    random_tensors,
    sdar_shapes,
    write,
    write_causal,
    write_dream,
    write_llada,
)
from unmask import CheckpointError

NORM = "model.transformer.ln_f.weight"
KINDS = {
    "llada": (LLADA_CONFIG, llada_shapes),
    "dream": (DREAM_CONFIG, dream_shapes),
    "fast_dllm_v2": (FAST_DLLM_V2_CONFIG, dream_shapes),
    "sdar": (SDAR_CONFIG, sdar_shapes),
}
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def load(folder):
    return unmask.load(folder, device="cpu")


def rewrite(folder, change):
    """Apply ``change`` to the tensors of a checkpoint."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return folder


def shard(folder, parts=2):
    """The same checkpoint in several files with an index."""
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    files = {
        name: f"model-{at % parts + 1:05}-of-{parts:05}.safetensors"
        for at, name in enumerate(names)
    }
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, folder / file)
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("shapes", "config", "fixed", "per_layer"),
    [(llada_shapes, LLADA_CONFIG, 3, 9), (dream_shapes, DREAM_CONFIG, 3, 12)],
)
def test_a_published_key_set_loads_with_nothing_left_over(
    shapes, config, fixed, per_layer, tmp_path
):
    tensors = random_tensors(shapes(config))
    assert len(tensors) == fixed + 2 * per_layer
    model = load(write(tmp_path, config, tensors))
    assert model.card.parameters == sum(tensor.numel() for tensor in tensors.values())


def test_a_causal_checkpoint_has_one_matrix_for_embedding_and_head(tmp_path):
    denoiser = load(write_causal(tmp_path)).denoiser
    assert denoiser.head.weight is denoiser.embedding.weight


@pytest.mark.parametrize("field", ["weight_tying", "tie_word_embeddings"])
def test_a_tied_checkpoint_has_no_head_of_its_own(field, tmp_path):
    config, shapes = KINDS["llada" if field == "weight_tying" else "dream"]
    tensors = random_tensors(shapes(config))
    for name in ("model.transformer.ff_out.weight", "lm_head.weight"):
        tensors.pop(name, None)
    denoiser = load(write(tmp_path, {**config, field: True}, tensors)).denoiser
    assert denoiser.head.weight is denoiser.embedding.weight


@pytest.mark.parametrize(
    ("family", "gate", "up", "down"),
    [
        ("llada", "ff_proj", "up_proj", "ff_out"),
        ("dream", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    ],
)
def test_gate_up_and_down_are_not_mixed_up(family, gate, up, down, tmp_path):
    """With these three and nothing else in the layer, row 0 can be worked out by hand.

    Embedding of token 0 is (1, 1, ...), so its norm is (1, 1, ...). gate = 2 on the first unit,
    up = 3, down = 1 into channel 0: x_0 = 1 + silu(2) x 3 = 1 + 1.76159 x 3 = 6.28478.
    """
    config, shapes = KINDS[family]
    tensors = {name: torch.zeros(shape) for name, shape in shapes(config).items()}
    for name, tensor in tensors.items():
        if "norm" in name or "ln_f" in name or "wte" in name or "embed" in name:
            tensor.fill_(1)
    block = "model.transformer.blocks.0" if family == "llada" else "model.layers.0"
    tensors[f"{block}.{gate}.weight"][0, 0] = 2
    tensors[f"{block}.{up}.weight"][0, 0] = 3
    tensors[f"{block}.{down}.weight"][0, 0] = 1
    denoiser = load(write(tmp_path, config, tensors)).denoiser
    with torch.inference_mode():
        x = denoiser.hidden(torch.tensor([[0]]), torch.tensor([[0]]))[0, 0]
    assert x.tolist() == pytest.approx([6.28478] + [1.0] * 31, abs=1e-4)


def test_a_sharded_checkpoint_is_the_same_model(tmp_path):
    whole = load(write_llada(tmp_path / "whole"))
    parts = load(shard(write_llada(tmp_path / "parts"), parts=3))
    assert torch.equal(whole.logits([1, 2, 3]), parts.logits([1, 2, 3]))


def test_a_missing_shard_is_named(tmp_path):
    folder = shard(write_llada(tmp_path))
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors"):
        load(folder)


def test_an_index_cannot_point_out_of_its_folder(tmp_path):
    folder = shard(write_llada(tmp_path / "inside"))
    save_file({NORM: torch.ones(32)}, tmp_path / "outside.safetensors")
    index = {"weight_map": {NORM: "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"outside\.safetensors"):
        load(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": 3}'])
def test_a_broken_index_is_named(text, tmp_path):
    folder = shard(write_llada(tmp_path))
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
        load(folder)


def test_a_missing_tensor_is_named(tmp_path):
    folder = rewrite(write_llada(tmp_path), lambda tensors: tensors.pop(NORM))
    with pytest.raises(CheckpointError, match=NORM):
        load(folder)


def test_several_missing_tensors_are_counted(tmp_path):
    def lose_biases(tensors):
        for name in [name for name in tensors if name.endswith("bias")]:
            del tensors[name]

    folder = rewrite(write_dream(tmp_path), lose_biases)
    with pytest.raises(CheckpointError, match=r"_proj\.bias' and 5 more is missing"):
        load(folder)


def test_an_unexpected_tensor_is_named(tmp_path):
    stray = "model.transformer.blocks.2.q_proj.weight"
    folder = rewrite(write_llada(tmp_path), lambda tensors: tensors.update({stray: torch.ones(2)}))
    with pytest.raises(CheckpointError, match=rf"unexpected tensor '{stray}'"):
        load(folder)


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path):
    folder = rewrite(write_llada(tmp_path), lambda tensors: tensors.update({NORM: torch.ones(31)}))
    with pytest.raises(CheckpointError, match=rf"{NORM}.* \[31\].* \[32\]"):
        load(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, -8])
def test_a_truncated_file_is_named(kept, tmp_path):
    path = write_llada(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is broken"):
        load(tmp_path)


def test_pickled_weights_are_never_read(tmp_path):
    write_llada(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors \(only safetensors"):
        load(tmp_path)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "cannot be read as JSON"), ("[1]", "no JSON object")]
)
def test_a_config_that_is_no_json_object_is_refused(text, reason, tmp_path):
    write_llada(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"config\.json .*{reason}"):
        load(tmp_path)


@every_kind
def test_every_field_that_is_read_is_missed_by_name(kind, tmp_path):
    config, shapes = KINDS[kind]
    tensors = random_tensors(shapes(config))
    optional = {"model_type", "hidden_act", "block_type", "layer_norm_type", "activation_type"}
    optional |= {"attention_bias"} | ({"mask_token_id"} if kind == "fast_dllm_v2" else set())
    for field in set(config) - optional - {"n_kv_heads"}:
        short = {name: value for name, value in config.items() if name != field}
        with pytest.raises(CheckpointError, match=rf"config\.json: field '{field}' is missing"):
            load(write(tmp_path, short, tensors))


@every_kind
def test_every_field_of_the_wrong_type_is_named_with_its_value(kind, tmp_path):
    config, shapes = KINDS[kind]
    tensors = random_tensors(shapes(config))
    for field in set(config) - {"model_type"}:
        with pytest.raises(CheckpointError, match=rf"config\.json: {field}='many'"):
            load(write(tmp_path, {**config, field: "many"}, tensors))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_layers", 0),
        ("d_model", -32),
        ("n_heads", True),
        ("rope_theta", 0),
        ("rms_norm_eps", None),
        ("weight_tying", 1),
        ("mask_token_id", 40),  # the vocabulary ends at 39
        ("eos_token_id", [38, 40]),
        ("pad_token_id", -1),
        ("max_sequence_length", 96.5),
    ],
)
def test_a_value_out_of_range_is_named(field, value, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        load(write_llada_as_configured(tmp_path, **{field: value}))
    assert f"{field}={value!r}" in str(caught.value)


def write_llada_as_configured(folder, **changes):
    """The usual tensors with another config."""
    return write(folder, {**LLADA_CONFIG, **changes}, random_tensors(llada_shapes(LLADA_CONFIG)))


@pytest.mark.parametrize("changes", [{"n_heads": 5}, {"n_heads": 32}, {"n_kv_heads": 3}])
def test_heads_that_do_not_divide_the_width_are_refused(changes, tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json.*heads .*do not fit"):
        load(write_llada_as_configured(tmp_path, **changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [("block_type", "sequential"), ("layer_norm_type", "low_precision"), ("alibi", True)],
)
def test_a_variant_that_no_published_checkpoint_uses_is_refused(field, value, tmp_path):
    with pytest.raises(CheckpointError, match=rf"{field}={value!r}, only"):
        load(write_llada_as_configured(tmp_path, **{field: value}))


def test_an_unknown_model_type_names_those_that_are_known(tmp_path):
    with pytest.raises(CheckpointError, match=r"model_type='lladaa' is not known.*'llada'\?"):
        load(write_llada_as_configured(tmp_path, model_type="lladaa"))


def test_unused_config_fields_do_not_matter(tmp_path):
    assert load(write_llada(tmp_path, auto_map={"AutoModel": "evil.py"})).card.family == "llada"


def test_generation_config_sets_the_two_defaults_of_ours(tmp_path):
    write_llada(tmp_path)
    found = {"max_new_tokens": 24, "block_length": 6, "temperature": 0.7}
    (tmp_path / "generation_config.json").write_text(json.dumps(found))
    assert load(tmp_path).defaults == {"max_new_tokens": 24, "block_length": 6}


def test_weights_are_cast_to_the_dtype_asked_for(tmp_path):
    folder = write_llada(tmp_path)
    model = unmask.load(folder, device="cpu", dtype="bf16")
    assert {weight.dtype for weight in model.denoiser.parameters()} == {torch.bfloat16}
