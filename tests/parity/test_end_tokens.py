"""Where a text ends: by config.json, generation_config.json and the tokenizer together. The causal
family stops where transformers does; the others take the same tokens."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM

from checkpoints import (
    END,
    MASK,
    VOCABULARY,
    write_dream,
    write_fast_dllm_v2,
    write_llada,
    write_sdar,
)
from unmask import CheckpointError, generate, load

IDS = [5, 9, 23, 31]
WRITERS = {
    "llada": write_llada,
    "dream": write_dream,
    "fast_dllm_v2": write_fast_dllm_v2,
    "sdar": write_sdar,
}
PADDED = {"fast_dllm_v2": {"mask_token_id": MASK, "pad_token_id": 3}, "sdar": {"pad_token_id": 3}}
every_family = pytest.mark.parametrize("family", sorted(WRITERS))


def folder_of(family, path, end, **generation):
    """``end``: eos_token_id of config.json; "" leaves it out."""
    folder = WRITERS[family](path, **PADDED.get(family, {}), eos_token_id=end)
    if end == "":
        config = json.loads((folder / "config.json").read_text())
        del config["eos_token_id"]
        (folder / "config.json").write_text(json.dumps(config))
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.fixture(scope="module")
def llama():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=128, max_position_embeddings=96, bos_token_id=1,
            eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.4)
    return model


def continued(model, **more):
    ids = torch.tensor([IDS])
    found = model.generate(ids, max_new_tokens=12, do_sample=False, **more)[0]
    return found[len(IDS) :].tolist()


@pytest.mark.parametrize("kind", ["int", "list", "null", "empty", "config"])
def test_a_causal_model_stops_where_transformers_does(kind, llama, tmp_path):
    free = continued(llama, eos_token_id=2)
    assert len(free) == 12
    assert 1 not in free  # begin of text, which unmask never writes
    end = free[3]  # met at first at most as fourth
    others = [token for token in range(3, 128) if token not in free]
    llama.save_pretrained(tmp_path)
    given = {"int": end, "list": [others[0], end], "null": None, "empty": [], "config": [end, 2]}
    path = tmp_path / ("config.json" if kind == "config" else "generation_config.json")
    changed = json.loads(path.read_text()) | {"eos_token_id": given[kind]}
    path.write_text(json.dumps(changed))
    if kind == "config":
        (tmp_path / "generation_config.json").unlink()
    theirs = LlamaForCausalLM.from_pretrained(tmp_path)
    # At the end they write none, and pad what is behind.
    expected = continued(theirs)
    [result] = generate(load(tmp_path, "cpu"), [IDS], max_new_tokens=12)
    stops = kind in ("int", "list", "config")
    assert expected == (free[: free.index(end) + 1] if stops else free)
    assert result.token_ids[: result.tokens] == expected
    assert result.tokens == len(expected)


@pytest.mark.parametrize(
    ("end", "generation", "expected"),
    [
        (END, {}, (END,)),
        ([END, 7], {}, (END, 7)),
        ([7, 7, END], {}, (7, END)),
        (END, {"eos_token_id": 7}, (END, 7)),
        (END, {"eos_token_id": [9, 7, END]}, (END, 9, 7)),
        ([0, 7], {"eos_token_id": [7, 9]}, (0, 7, 9)),
        (END, {"eos_token_id": None}, (END,)),
        (END, {"eos_token_id": []}, (END,)),
        (None, {"eos_token_id": 7}, (7,)),
        ([], {"eos_token_id": [0, 7]}, (0, 7)),
        ("", {"eos_token_id": [7, 9]}, (7, 9)),
    ],
)
@every_family
def test_end_tokens_are_those_of_both_files(family, end, generation, expected, tmp_path):
    assert load(folder_of(family, tmp_path, end, **generation), "cpu").card.end_ids == expected


@every_family
def test_the_end_of_turn_joins_them_or_stands_alone(family, tmp_path):
    turn = "<|eot_id|>" if family == "llada" else "<|im_end|>"
    whole = Tokenizer(models.WordLevel({turn: 11, "a": 0}, "a"))
    for end, expected in (([END, 7], (END, 7, 9, 11)), (None, (9, 11)), (11, (11, 9))):
        folder = folder_of(family, tmp_path, end, eos_token_id=9)
        whole.save(str(folder / "tokenizer.json"))
        assert load(folder, "cpu").card.end_ids == expected
    (tmp_path / "generation_config.json").unlink()
    folder = folder_of(family, tmp_path, None)
    assert load(folder, "cpu").card.end_ids == (11,)


@pytest.mark.parametrize("value", ["many", 3.5, True, [3, "x"], [[3]], {"a": 3}, -1, [VOCABULARY]])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@every_family
def test_what_is_no_end_token_is_named_with_its_file(family, file, value, tmp_path):
    own = file == "config.json"
    folder = folder_of(
        family, tmp_path, value if own else END, **({} if own else {"eos_token_id": value})
    )
    with pytest.raises(CheckpointError) as caught:
        load(folder, "cpu")
    assert f"{file}: eos_token_id={value!r} is not allowed" in str(caught.value)


@pytest.mark.parametrize(
    ("end", "message"),
    [(None, "eos_token_id=None"), ([], r"eos_token_id=\[\]"), ("", "is missing")],
)
@every_family
def test_a_model_that_could_never_end_is_refused(family, end, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load(folder_of(family, tmp_path, end), "cpu")


@every_family
def test_the_mask_cannot_be_an_end_token(family, tmp_path):
    with pytest.raises(CheckpointError, match=f"token {MASK} stands for what is not written"):
        load(folder_of(family, tmp_path, END, eos_token_id=[7, MASK]), "cpu")


def test_a_causal_model_whose_text_begins_and_ends_alike_needs_another_stand_in(llama, tmp_path):
    llama.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {"eos_token_id": 1}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="give another mask_token_id"):
        load(tmp_path, "cpu")
    path.write_text(json.dumps(config | {"mask_token_id": 127}))
    card = load(tmp_path, "cpu").card
    assert (card.mask_id, card.end_ids[0]) == (127, 1)


def test_a_diffusion_model_stops_at_any_of_its_end_tokens(tmp_path):
    free = generate(load(folder_of("llada", tmp_path, END), "cpu"), [IDS], max_new_tokens=16)[0]
    assert free.tokens == 16
    first = free.token_ids.index(free.token_ids[3])
    for end in ([free.token_ids[3], 30], free.token_ids[3]):
        model = load(folder_of("llada", tmp_path, END, eos_token_id=end), "cpu")
        [result] = generate(model, [IDS], max_new_tokens=16)
        assert result.token_ids[: result.tokens] == free.token_ids[: first + 1]


@pytest.mark.parametrize("value", [0, True, "many", 2.5, [8]])
@pytest.mark.parametrize("field", ["max_new_tokens", "block_length"])
def test_a_default_of_the_wrong_type_is_named(field, value, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        load(folder_of("llada", tmp_path, END, **{field: value}), "cpu")
    assert f"generation_config.json: {field}={value!r} is not allowed" in str(caught.value)


def test_a_default_of_null_is_none(tmp_path):
    found = load(folder_of("llada", tmp_path, END, max_new_tokens=None, block_length=8), "cpu")
    assert found.defaults == {"max_new_tokens": 256, "block_length": 8}
