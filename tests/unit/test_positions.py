"""Scaled rotary positions: refused by name in every family, whatever their field is called; fields
that mean none change nothing."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config

from checkpoints import (
    CAUSAL_CONFIG,
    DREAM_CONFIG,
    FAST_DLLM_V2_CONFIG,
    LLADA_CONFIG,
    SDAR_CONFIG,
    write_causal,
    write_dream,
    write_fast_dllm_v2,
    write_llada,
    write_sdar,
)
from unmask import CheckpointError, catalogue, load
from unmask.models.loading import FAMILIES

WRITERS = {
    "llada": write_llada,
    "dream": write_dream,
    "fast_dllm_v2": write_fast_dllm_v2,
    "sdar": write_sdar,
    "tiny": write_causal,
}
CONFIGS = {
    "llada": LLADA_CONFIG,
    "dream": DREAM_CONFIG,
    "fast_dllm_v2": FAST_DLLM_V2_CONFIG,
    "sdar": SDAR_CONFIG,
    "tiny": CAUSAL_CONFIG,
}
MORE = {"fast_dllm_v2": {"mask_token_id": 39}}
every_family = pytest.mark.parametrize("family", sorted(WRITERS))
SCALED = {
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 24},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 24,
    },
    "longrope": {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4},
    "su": {}, "mrope": {"mrope_section": [1, 1, 2]}, "proportional": {"partial_rotary_factor": 0.5},
}  # fmt: skip


def body(family, **changes):
    """What a family makes of a changed config; "gone" takes a field out."""
    config = {name: value for name, value in (CONFIGS[family] | changes).items() if value != "gone"}
    return catalogue.find(FAMILIES, family, "family").body(config)


def changed(family, folder, **changes):
    WRITERS[family](folder, **MORE.get(family, {}))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return load(folder, "cpu")


@pytest.mark.parametrize("kind", SCALED)
@pytest.mark.parametrize("field", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("name", ["rope_type", "type"])
@every_family
def test_every_kind_of_scaling_is_refused_by_name(family, name, field, kind):
    with pytest.raises(CheckpointError, match=rf"{field}=.*\(rope_type='{kind}'\), only None or"):
        body(family, **{field: {name: kind, "rope_theta": 1e4, **SCALED[kind]}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_scaling": {"rope_type": "default", "type": "yarn"}}, "rope_type='yarn'"),
        ({"rope_scaling": {"type": "default", "rope_type": "yarn"}}, "rope_type='yarn'"),
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling has factor=2.0"),
        ({"rope_scaling": {"rope_type": "default", "factor": 2}}, "rope_scaling has factor=2"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "full_attention={"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor=0.5"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5, only 1"),
        ({"rope_scaling": "yarn"}, "rope_scaling='yarn' is not allowed"),
        ({"rope_parameters": [4.0]}, r"rope_parameters=\[4.0\] is not allowed"),
        ({"rope_parameters": {"rope_theta": "big"}}, "rope_theta='big'"),
        ({"rope_parameters": {"rope_theta": -1}}, "rope_theta=-1"),
        (
            {"rope_scaling": {"type": "default"}, "rope_parameters": {"type": "yarn"}},
            "rope_parameters=.*rope_type='yarn'",
        ),
    ],
)
@every_family
def test_what_would_turn_otherwise_is_refused(family, changes, message):
    with pytest.raises(CheckpointError, match=message):
        body(family, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_scaling": None, "rope_parameters": None},
        {"rope_scaling": {}},
        {"rope_scaling": {"rope_type": "default"}},
        {"rope_scaling": {"type": "default", "factor": 1.0}},
        {"rope_parameters": {"rope_type": "default", "original_max_position_embeddings": 24}},
        {"rope_parameters": {"rope_type": None, "type": None, "rope_theta": None}},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0}},
        {"partial_rotary_factor": 1},
        {"partial_rotary_factor": None},
    ],
)
@every_family
def test_fields_that_mean_none_change_nothing(family, changes, tmp_path):
    plain = changed(family, tmp_path / "plain")
    model = changed(family, tmp_path / "more", **changes)
    assert model.denoiser.body == plain.denoiser.body
    assert torch.equal(model.logits([1, 2, 3]), plain.logits([1, 2, 3]))


@pytest.mark.parametrize("outer", [None, 77.0, "gone"])
@every_family
def test_the_base_may_stand_inside(family, outer):
    inside = {"rope_type": "default", "rope_theta": 1234.0}
    for field in ("rope_parameters", "rope_scaling"):
        assert body(family, rope_theta=outer, **{field: inside}).rope_theta == 1234.0


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0}, "rope_theta": 5e5},
        {"rope_scaling": {"rope_type": "default"}, "rope_theta": 300.0, "rope_parameters": None},
        {
            "rope_scaling": {"rope_type": "default", "rope_theta": 300.0},
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
        },
        {"rope_parameters": None, "rope_theta": 300.0},
    ],
)
def test_of_several_bases_the_same_one_counts_as_in_transformers(changes, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
            vocab_size=40, max_position_embeddings=96, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    ids = [3, 9, 27, 31, 5]
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0]
    assert torch.allclose(load(tmp_path, "cpu").logits(ids)[1:], expected[:-1], atol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn"])
def test_a_scaled_config_saved_again_by_transformers_keeps_being_refused(kind, tmp_path):
    """It moves the scaling from rope_scaling to rope_parameters."""
    write_dream(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = Qwen2Config(**config, rope_scaling={"rope_type": kind, **SCALED[kind]})
    assert again.rope_parameters["rope_type"] == kind
    found = again.to_dict() | {"model_type": "Dream", "rope_scaling": None, "architectures": None}
    path.write_text(json.dumps(found))
    with pytest.raises(CheckpointError, match=rf"rope_parameters=.*rope_type='{kind}'"):
        load(tmp_path, "cpu")


@pytest.mark.parametrize(("field", "value"), [("rope", False), ("rope_full_precision", False)])
def test_positions_that_llada_would_leave_out_or_round_are_refused(field, value):
    with pytest.raises(CheckpointError, match=f"{field}={value}, only True"):
        body("llada", **{field: value})
