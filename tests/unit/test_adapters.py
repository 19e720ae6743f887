"""Adapters of all kinds, made by peft: merged as peft merges them, or refused by name and value."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from copy import deepcopy

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from commands import unmask
from unmask import InputError, load
from unmask.distill.adapter import FILE, SETTINGS, read

pytestmark = pytest.mark.filterwarnings("ignore")  # what peft says of these kinds
TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A causal Llama as transformers writes it, with a head of its own."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def fresh(base):
    return LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)


def wrapped(base, settings):
    """peft's model with fresh adapters; what it still calls is what transformers warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(fresh(base), settings)


def trained(base, settings):
    """peft's model with adapters that have learnt something."""
    torch.manual_seed(1)
    model = wrapped(base, settings)
    for name, tensor in model.named_parameters():
        if tensor.requires_grad:
            tensor.data += 0.1 * torch.randn(tensor.shape)
        assert "lora_" not in name or tensor.abs().max() < 100
    return model


def adapter_of(base, folder, **settings):
    how = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, **settings}
    trained(base, peft.LoraConfig(**how)).save_pretrained(folder)
    return folder


def merged(base, adapter, out):
    done = unmask("merge", "--model", base, "--adapter", adapter, "--out", out)
    assert done.returncode == 0, done.stderr
    return load_file(out / "model.safetensors")


def merged_by_peft(base, adapter):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(fresh(base), adapter).merge_and_unload().state_dict()


TAKEN = {
    "plain": {},
    "dropout": {"lora_dropout": 0.1},
    "rsLoRA": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"layers.1.self_attn.q_proj": 2, "down_proj": 3},
        "alpha_pattern": {r".*\.2\..*v_proj": 32, "q_proj": 1},
    },
    "rsLoRA with patterns": {"use_rslora": True, "rank_pattern": {"v_proj": 9}},
    "random": {"init_lora_weights": False},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "EVA": {"init_lora_weights": "eva", "eva_config": peft.EvaConfig()},
    "MiCA": {"init_lora_weights": "mica"},
    "some layers": {"layers_to_transform": [0, 2], "layers_pattern": "layers"},
    "some modules": {"target_modules": r".*\.[01]\..*(up|gate)_proj"},
    "all but one": {"exclude_modules": ["model.layers.1.mlp.down_proj"]},
    "all": {"target_modules": "all-linear"},
    "the head too": {"target_modules": ["lm_head", "k_proj"]},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_the_sum_is_that_of_peft(base, tmp_path, kind):
    adapter = adapter_of(base, tmp_path / "adapter", **TAKEN[kind])
    ours, theirs = merged(base, adapter, tmp_path / "out"), merged_by_peft(base, adapter)
    plain = load_file(base / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert any((ours[name] - plain[name]).abs().max() > 1e-2 for name in ours)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-6)


def test_the_head_that_peft_stores_with_its_adapter_has_to_be_the_model_s(base, tmp_path):
    path = adapter_of(base, tmp_path, target_modules=["lm_head"]) / FILE
    tensors = load_file(path)
    tensors["base_model.model.lm_head.base_layer.weight"][-1, -1] += 1e-3
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"lm_head\.weight comes with the adapter and differs"):
        read(tmp_path, base)


def test_a_tied_head_without_its_embedding_keeps_its_name(base, tmp_path):
    tied = tmp_path / "tied"
    shutil.copytree(base, tied)
    config = json.loads((tied / "config.json").read_text())
    (tied / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    plain = load_file(tied / "model.safetensors")
    del plain["model.embed_tokens.weight"]
    save_file(plain, tied / "model.safetensors")
    found = merged(tied, adapter_of(base, tmp_path / "adapter"), tmp_path / "out")
    assert found.keys() == plain.keys()
    assert torch.equal(found["lm_head.weight"], plain["lm_head.weight"])
    load(tmp_path / "out")


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_what_takes_something_out_of_the_model_is_merged_once_it_is_made_plain(
    base, tmp_path, init
):
    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=init)
    start = wrapped(base, deepcopy(settings))
    start.peft_config["default"].init_lora_weights = True  # as peft's documentation has it
    start.save_pretrained(tmp_path / "start")
    model = trained(base, settings)
    model.save_pretrained(tmp_path / "raw")
    model.save_pretrained(
        tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "start")
    )
    with pytest.raises(InputError, match=f"init_lora_weights='{init}' cannot be merged here"):
        read(tmp_path / "raw", base)
    ours, theirs = merged(base, tmp_path / "plain", tmp_path / "out"), model.merge_and_unload()
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def plain(base, tmp_path_factory):
    return adapter_of(base, tmp_path_factory.mktemp("plain"))


def changed(plain, folder, tensors=None, **settings):
    """The plain adapter, but for some of its settings or tensors."""
    folder.mkdir()
    found = json.loads((plain / SETTINGS).read_text()) | settings
    (folder / SETTINGS).write_text(json.dumps(found))
    save_file(tensors or load_file(plain / FILE), folder / FILE)
    return folder


REFUSED = [
    ("init_lora_weights", "pissa"), ("init_lora_weights", "pissa_niter_16"),
    ("init_lora_weights", "olora"), ("init_lora_weights", "OLoRA"), ("init_lora_weights", "corda"),
    ("init_lora_weights", "loftq"), ("init_lora_weights", "lora_ga"), ("init_lora_weights", "new"),
    ("use_dora", True), ("use_qalora", True), ("lora_bias", True), ("fan_in_fan_out", True),
    ("bias", "all"), ("bias", "lora_only"), ("modules_to_save", ["lm_head"]),
    ("layer_replication", [[0, 2], [1, 3]]), ("target_parameters", ["mlp.experts.gate_up_proj"]),
    ("trainable_token_indices", [1, 2]), ("trainable_token_indices", {"embed_tokens": [3]}),
    ("alora_invocation_tokens", [5]), ("megatron_config", {"a": 1}), ("kasa_config", {"beta": 1.0}),
    ("use_bdlora", {"nblocks": 2}), ("arrow_config", {"top_k": 1}), ("ensure_weight_tying", True),
    ("of_next_year", 3), ("use_rslora", "no"),
    ("peft_type", "LOHA"), ("peft_type", "ADALORA"), ("peft_type", "IA3"), ("peft_type", "lora"),
    ("peft_type", None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_other_kinds_are_refused_by_field_and_value(base, plain, tmp_path, field, value):
    adapter = changed(plain, tmp_path / "adapter", **{field: value})
    done = unmask("merge", "--model", base, "--adapter", adapter, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert f"{SETTINGS}: {field}={value!r} cannot be merged here" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


KINDS = [
    peft.LoHaConfig(target_modules=TARGETS), peft.LoKrConfig(target_modules=TARGETS),
    peft.IA3Config(target_modules=TARGETS, feedforward_modules=["down_proj"]),
    peft.AdaLoraConfig(target_modules=TARGETS, total_step=3),
    peft.VeraConfig(target_modules=["k_proj"]),
    peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    peft.LoraConfig(target_modules=TARGETS, use_dora=True),
    peft.LoraConfig(target_modules=TARGETS, modules_to_save=["lm_head"]),
    peft.LoraConfig(target_modules=TARGETS, layer_replication=[(0, 2), (1, 3)]),
    peft.LoraConfig(target_modules=[*TARGETS, "embed_tokens"]),
]  # fmt: skip


@pytest.mark.parametrize("settings", KINDS, ids=lambda one: type(one).__name__)
def test_nothing_of_another_kind_gets_through(base, tmp_path, settings):
    wrapped(base, settings).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"cannot be merged here|that can be merged"):
        read(tmp_path, base)


Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


def broken(tensors, how):
    a, b = f"{Q}A.weight", f"{Q}B.weight"
    if how in ("half", "other half", "pair"):
        gone = {"half": [a], "other half": [b], "pair": [a, b]}[how]
        return {name: tensor for name, tensor in tensors.items() if name not in gone}
    stray = {
        "stray": "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight",
        "named": f"{Q}A.default.weight", "magnitude": f"{Q}magnitude_vector", "bias": f"{Q}B.bias",
        "unprefixed": "model.layers.0.self_attn.q_proj.lora_A.weight",
        "other": "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight",
    }  # fmt: skip
    if how in stray:
        return {**tensors, stray[how]: tensors[a].clone()}
    other = {
        "rank": {a: torch.ones(3, 16), b: torch.ones(16, 3)}, "kind": {a: tensors[a].int()},
        "wide": {a: torch.ones(4, 18)}, "vector": {b: torch.ones(16)}, "nan": {b: tensors[b] / 0},
    }  # fmt: skip
    return {**tensors, **other[how]}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("half", "q_proj has no lora_A, half of its pair"),
        ("other half", "q_proj has no lora_B, half of its pair"),
        ("pair", "q_proj is among target_modules and has no tensors"),
        ("stray", r"layers\.7\.\S+ of adapter_model\.safetensors is of no module of this model"),
        ("named", "lora_A.default.weight .* is of no module of this model"),
        ("magnitude", "magnitude_vector .* is of no module of this model"),
        ("bias", "lora_B.bias .* is of no module of this model"),
        ("unprefixed", "tensor model.layers.0.* is of no module of this model"),
        ("other", "k_proj has no lora_B, half of its pair"),
        ("rank", "q_proj has tensors of shape .* and r is 4 there"),
        ("vector", "q_proj has tensors of shape .* and r is 4 there"),
        ("kind", "not of real numbers"),
        ("wide", r"q_proj has the shape \[16, 18\], the model's matrix \[16, 16\]"),
        ("nan", "q_proj holds NaN or infinity"),
    ],
)
def test_damaged_tensors_are_named(base, plain, tmp_path, how, message):
    tensors = broken(load_file(plain / FILE), how)
    adapter = changed(plain, tmp_path / "adapter", tensors)
    done = unmask("merge", "--model", base, "--adapter", adapter, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "out").exists()


def test_every_tensor_keeps_its_own_number_type(base, plain, tmp_path):
    """Norms in float32, the rest in bfloat16, the head in float16: as some trainers leave it."""
    tensors = load_file(base / "model.safetensors")
    for name in tensors:
        if "norm" not in name:
            kind = torch.float16 if name.startswith("lm_head") else torch.bfloat16
            tensors[name] = tensors[name].to(kind)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "config.json").write_text((base / "config.json").read_text())
    save_file(tensors, mixed / "model.safetensors")
    ours = merged(mixed, plain, tmp_path / "out")
    assert {name: one.dtype for name, one in ours.items()} == {
        name: one.dtype for name, one in tensors.items()
    }
    theirs = merged_by_peft(mixed, plain)
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name].to(tensor.dtype)), name
    untouched = [name for name in tensors if not any(one in name for one in TARGETS)]
    assert untouched
    assert all(torch.equal(ours[name], tensors[name]) for name in untouched)


def test_what_outgrows_float16_is_told(base, plain, tmp_path):
    half = tmp_path / "half"
    fresh(base).half().save_pretrained(half)
    tensors = load_file(plain / FILE)
    tensors[f"{Q}A.weight"] *= 1e6
    adapter = changed(plain, tmp_path / "adapter", tensors)
    done = unmask("merge", "--model", half, "--adapter", adapter, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "q_proj.weight has grown too large for torch.float16" in done.stderr
    assert not (tmp_path / "out").exists()
