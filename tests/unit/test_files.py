"""Files that users bring: settings, trajectories, broken parts of a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import unmask
from checkpoints import write_llada
from unmask import CheckpointError, InputError, Trajectory, generate, read_settings
from unmask.decode.saved import write_settings


def test_settings_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "settings.json"
    write_settings(path, "d3llm", {"threshold": 0.3, "cache": "dual"}, model="tiny")
    assert read_settings(path) == {"preset": "d3llm", "threshold": 0.3, "cache": "dual"}


SETTINGS = {
    "no JSON": ("{", "cannot be read as JSON"),
    "no object": ("[]", "no JSON object"),
    "no preset": ('{"overrides": {}}', "needs the fields preset"),
    "an unknown preset": ('{"preset": "d3lm", "overrides": {}}', "did you mean 'd3llm'"),
    "an unknown option": ('{"preset": "d3llm", "overrides": {"treshold": 1}}', "'threshold'?"),
}


@pytest.mark.parametrize(("text", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_settings_file_is_refused(text, message, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(InputError, match="settings") as caught:
        read_settings(path)
    assert message in str(caught.value)


def test_a_settings_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing\.json"):
        read_settings(tmp_path / "missing.json")


ABOUT = {"format": "unmask-trajectory-1", "mask_id": 9, "model": "m", "policy": "p"}
DAMAGED = {
    "a prompt that is no number": ({"prompt_length": "x"}, {}),
    "a prompt longer than the text": ({"prompt_length": 99}, {}),
    "births that do not fit": ({"prompt_length": 1}, {"born": np.zeros(2, np.uint16)}),
    "births beyond the last forward": ({"prompt_length": 1}, {"born": np.full(3, 7, np.uint16)}),
    "tokens in two dimensions": ({"prompt_length": 1}, {"tokens": np.zeros((3, 1), np.uint32)}),
    "no prompt": ({}, {}),
    "a model that is no name": ({"prompt_length": 1, "model": ["m"]}, {}),
}


@pytest.mark.parametrize(("about", "tensors"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_trajectory_is_refused(about, tensors, tmp_path):
    path = tmp_path / "x.trajectory"
    whole = {
        "tokens": np.zeros(3, np.uint32),
        "born": np.array([0, 1, 2], np.uint16),
        "fed": np.array([3, 3], np.uint32),
    }
    metadata = {"unmask": json.dumps({**ABOUT, **about})}
    save_file({**whole, **tensors}, path, metadata=metadata)
    with pytest.raises(InputError, match=r"x\.trajectory"):
        Trajectory.load(path)


def test_a_trajectory_is_saved_where_it_can_be_and_a_link_stays_a_link(llada, tmp_path):
    [result] = generate(llada, [1, 2], max_new_tokens=4, block_length=4)
    with pytest.raises(InputError, match="cannot be written"):
        result.trajectory.save(tmp_path / "no" / "folder")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    result.trajectory.save(link)
    assert link.is_symlink()
    assert Trajectory.load(tmp_path / "target").tokens_L.tolist() == [1, 2, *result.token_ids]


CHECKPOINT = {
    "settings that are a list": ("tokenizer_config.json", "[]"),
    "settings without end": ("tokenizer_config.json", "[" * 100_000),
    "a template that is a number": ("tokenizer_config.json", '{"chat_template": 5}'),
    "templates without names": ("tokenizer_config.json", '{"chat_template": [{"template": "x"}]}'),
    "templates that are text": ("tokenizer_config.json", '{"chat_template": ["x"]}'),
    "a template that is no text": ("tokenizer_config.json", '{"chat_template": true}'),
}


@pytest.mark.parametrize(("name", "text"), CHECKPOINT.values(), ids=CHECKPOINT)
def test_a_broken_file_of_a_checkpoint_is_named(name, text, tmp_path):
    folder = write_llada(tmp_path)
    source = unmask.load("tiny", device="cpu").codec
    source._tokenizer.save(str(folder / "tokenizer.json"))
    (folder / name).write_text(text)
    with pytest.raises(CheckpointError):
        unmask.load(folder, device="cpu")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("d_model", 10**12),
        ("max_sequence_length", 10**12),
        ("rope_theta", float("inf")),
        ("n_layers", 0),
    ],
)
def test_a_config_with_an_absurd_number_is_refused(field, value, tmp_path):
    folder = write_llada(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(CheckpointError, match=field):
        unmask.load(folder, device="cpu")


def test_a_prompt_is_neither_cut_nor_filled_by_the_tokenizer_file(tmp_path):
    folder = write_llada(tmp_path)
    tokenizer = unmask.load("tiny", device="cpu").codec._tokenizer
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    found = unmask.load(folder, device="cpu").codec
    text = "Mia has three apples and four books"
    assert found.decode(found.encode(text, plain=False)) == text
