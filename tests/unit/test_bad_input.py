"""What a user of the Python face can get wrong: the class of the error, and that its message names
the field and the value given."""

from __future__ import annotations

import math

import pytest
import torch

import unmask
from checkpoints import write_causal, write_llada
from doubles import FakeDenoiser, model_of, sure_of
from unmask import (
    CheckpointError,
    DecodeError,
    Infill,
    InputError,
    PromptError,
    Trajectory,
    UnmaskError,
    generate,
)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A random LLaDA without tokenizer: 40 ids, 96 positions."""
    return unmask.load(write_llada(tmp_path_factory.mktemp("masked")), device="cpu")


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return unmask.load(write_causal(tmp_path_factory.mktemp("causal")), device="cpu")


def refused(kind, parts, call):
    """``call`` raises exactly ``kind``, and every one of ``parts`` stands in the message."""
    with pytest.raises(UnmaskError) as caught:
        call()
    assert type(caught.value) is kind
    assert [part for part in parts if part not in str(caught.value)] == []


SETTINGS = {
    "an unknown preset": ({"preset": "fast"}, ["preset='fast'", "fast-dllm", "did you mean"]),
    "an unknown strategy": ({"strategy": "thresold"}, ["strategy='thresold'", "'threshold'?"]),
    "a strategy that is no name": ({"strategy": 5}, ["strategy=5"]),
    "an unknown cache": ({"cache": "both"}, ["cache='both'", "dual", "prefix"]),
    "an unknown schedule": ({"schedule": "block"}, ["schedule='block'", "'blocks'?"]),
    "an unknown option": ({"treshold": 0.9}, ["option='treshold'", "'threshold'?"]),
    "an option of ours": ({"shifted": True}, ["option='shifted'"]),
    "an unknown compat": ({"compat": "paper"}, ["compat='paper'", "reference"]),
    "no tokens": ({"max_new_tokens": 0}, ["max_new_tokens=0", "at least 1"]),
    "fewer than no tokens": ({"max_new_tokens": -1}, ["max_new_tokens=-1"]),
    "half a token": ({"max_new_tokens": 1.5}, ["max_new_tokens=1.5", "whole number"]),
    "tokens as text": ({"max_new_tokens": "8"}, ["max_new_tokens='8'"]),
    "tokens as a bool": ({"max_new_tokens": True}, ["max_new_tokens=True"]),
    "a block of nothing": ({"block_length": 0}, ["block_length=0"]),
    "no steps": ({"steps": 0}, ["steps=0"]),
    "half a step": ({"steps": 2.5}, ["steps=2.5"]),
    "a threshold over one": ({"threshold": 1.5}, ["threshold=1.5", "probability"]),
    "a threshold below zero": ({"threshold": -0.1}, ["threshold=-0.1"]),
    "a threshold that is no number": ({"threshold": math.nan}, ["threshold=nan"]),
    "a threshold as text": ({"threshold": "0.9"}, ["threshold='0.9'"]),
    "an entropy below zero": (
        {"strategy": "low_entropy", "threshold": -1},
        ["threshold=-1", "nats"],
    ),
    "a factor of zero": ({"factor": 0}, ["factor=0", "above 0"]),
    "a factor that is no number": ({"factor": math.nan}, ["factor=nan"]),
    "a delta over one": ({"delta": 2}, ["delta=2", "between 0 and 1"]),
    "a temperature below zero": ({"temperature": -1}, ["temperature=-1"]),
    "a temperature that is no number": ({"temperature": math.nan}, ["temperature=nan"]),
    "a temperature without end": ({"temperature": math.inf}, ["temperature=inf"]),
    "a top_p of zero": ({"temperature": 1, "top_p": 0}, ["top_p=0", "above 0"]),
    "a top_p over one": ({"temperature": 1, "top_p": 1.01}, ["top_p=1.01"]),
    "a top_k of zero": ({"temperature": 1, "top_k": 0}, ["top_k=0"]),
    "half a top_k": ({"temperature": 1, "top_k": 2.5}, ["top_k=2.5"]),
    "a seed below zero": ({"seed": -1}, ["seed=-1"]),
    "a seed as text": ({"seed": "one"}, ["seed='one'"]),
    "a seed too large": ({"seed": 2**64}, [f"seed={2**64}"]),
    "an early_stop that is no bool": ({"early_stop": "no"}, ["early_stop='no'", "True or False"]),
    "a cache as a list": ({"cache": ["dual"]}, ["cache=['dual']", "choose one of"]),
    "a preset as a list": ({"preset": ["vanilla"]}, ["preset=['vanilla']", "choose one of"]),
    "steps without end": ({"steps": 10**40}, ["steps=", "over 30 digits"]),
    "a block without end": ({"preset": "d3llm", "block_length": 10**30}, ["block_length="]),
    "a delay without end": ({"preset": "d3llm", "delay": 2**31}, ["delay=2147483648"]),
    "a factor without end": ({"factor": 10**400}, ["factor=", "above 0"]),
    "a delay for a cache without": ({"delay": 2}, ["delay=2", "cache='dual'", "cache=delayed"]),
    "a share for a schedule without": (
        {"block_add_threshold": 0.5},
        ["block_add_threshold=0.5", "schedule='blocks'", "schedule=pipelined"],
    ),
    "a share of nothing": ({"preset": "d3llm", "block_add_threshold": 0}, ["above 0", "0.1"]),
    "a delay below zero": ({"preset": "d3llm", "delay": -1}, ["delay=-1"]),
    "a refresh of zero": ({"preset": "d3llm", "refresh": 0}, ["refresh=0", "at least 1"]),
    "a horizon below zero": ({"horizon": -1}, ["horizon=-1"]),
    "a horizon for the whole": ({"schedule": "whole", "horizon": 1}, ["horizon=1", "blocks or"]),
    "a batch of nothing": ({"batch_size": 0}, ["batch_size=0"]),
    "half a batch": ({"batch_size": 1.5}, ["batch_size=1.5"]),
    "steps beside a threshold": ({"threshold": 0.9, "steps": 2}, ["steps and threshold", "one of"]),
    "steps for a named threshold": (
        {"strategy": "threshold", "steps": 2},
        ["steps=2", "strategy='threshold', which reads threshold", "strategy=fixed_steps or"],
    ),
    "a block length for the whole": (
        {"schedule": "whole"},
        ["block_length=4", "schedule='whole', which reads no option", "drop block_length"],
    ),
    "a block length from left to right": (
        {"schedule": "left_to_right"},
        ["block_length=4", "schedule='left_to_right'", "schedule=blocks or pipelined"],
    ),
    "a refresh for a cache without": ({"refresh": 2}, ["refresh=2", "cache='dual'"]),
    "two at once": ({"delay": 1, "refresh": 2}, ["delay=1 has no meaning", "refresh=2 has no"]),
    "threshold and factor": ({"threshold": 0.9, "factor": 1.0}, ["factor and threshold"]),
    "delta and factor": ({"delta": 0.9, "factor": 1.0}, ["delta and factor"]),
    "a rule of another strategy": (
        {"strategy": "margin", "threshold": 0.9},
        ["threshold=0.9", "strategy='margin'", "steps"],
    ),
    "top_p without temperature": ({"top_p": 0.9}, ["top_p=0.9", "temperature=0"]),
    "top_k without temperature": ({"top_k": 5}, ["top_k=5", "temperature=0"]),
    "steps that blocks cannot share": ({"strategy": "margin", "steps": 3}, ["steps=3", "2 blocks"]),
    "ar for a masked model": ({"preset": "ar"}, ["is masked", "preset='ar'", "'fast-dllm'"]),
    "a causal cache for a masked model": ({"cache": "causal"}, ["is masked", "cache='causal'"]),
}


@pytest.mark.parametrize(("options", "parts"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_is_refused(options, parts, masked):
    options = {"max_new_tokens": 8, "block_length": 4, **options}
    refused(InputError, parts, lambda: generate(masked, [1, 2], **options))


@pytest.mark.parametrize(
    "options",
    [{"preset": "fast-dllm"}, {"preset": "vanilla"}, {"schedule": "blocks"}, {"cache": "dual"}],
    ids=str,
)
def test_a_causal_model_is_not_decoded_by_a_masked_preset(options, causal):
    name, value = next(iter(options.items()))
    parts = ["is causal", f"{name}={value!r}", "preset='ar'"]
    refused(InputError, parts, lambda: generate(causal, [1, 2], max_new_tokens=4, **options))


PROMPTS = {
    "no prompt": ([], ["no prompt"]),
    "an empty prompt": ([[]], ["the prompt is empty"]),
    "an empty prompt among others": ([[1], []], ["the prompt is empty"]),
    "an id beyond the vocabulary": ([1, 40], ["token id 40", "0 to 39"]),
    "an id below zero": ([-1], ["token id -1", "0 to 39"]),
    "an id that is no number": ([1, "two"], ["token id 'two'"]),
    "half an id": ([1, 2.0], ["token id 2.0"]),
    "an id that is a bool": ([1, True], ["token id True"]),
    "text without a tokenizer": ("hello", ["no tokenizer files", "tokenizer.json"]),
    "messages without a tokenizer": ([{"role": "user", "content": "x"}], ["no tokenizer files"]),
    "nothing at all": (None, ["type NoneType"]),
    "a number": (5, ["type int"]),
    "a set of ids": ({1, 2}, ["type set"]),
    "a number among prompts": ([[1], 5.5], ["type float"]),
    "a prompt too long": ([1] * 97, ["97 tokens", "at most 96"]),
    "a prompt too long for the answer": ([1] * 90, ["90 prompt tokens", "max_new_tokens=8", "96"]),
}


@pytest.mark.parametrize(("prompt", "parts"), PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_is_refused(prompt, parts, masked):
    refused(PromptError, parts, lambda: generate(masked, prompt, max_new_tokens=8))


@pytest.mark.parametrize(
    "ids", [[], [40], [1] * 97, [1.0], 5], ids=["none", "high", "many", "float", "5"]
)
def test_ids_are_refused_by_logits_too(ids, masked):
    with pytest.raises(PromptError):
        masked.logits(ids)


MODELS = {
    "an unknown name": ("tinny", InputError, ["model='tinny'", "hub id"]),
    "an empty name": ("", InputError, ["model=''"]),
    "a folder that is not there": ("no/such/folder", InputError, ["model='no/such/folder'"]),
    "a hub id out of reach": ("nobody/nothing", CheckpointError, ["model='nobody/nothing'"]),
}


@pytest.mark.parametrize(("name", "kind", "parts"), MODELS.values(), ids=MODELS)
def test_a_model_name_is_refused(name, kind, parts):
    refused(kind, parts, lambda: unmask.load(name))


def test_a_file_is_refused_as_a_model(tmp_path):
    path = write_llada(tmp_path) / "model.safetensors"
    refused(CheckpointError, [f"model={str(path)!r}", "folder"], lambda: unmask.load(path))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"dtype": "fp4"}, ["dtype='fp4'", "bfloat16", "fp8"]),
        ({"device": "gpu"}, ["device='gpu'", "cuda"]),
        ({"device": "cuda:x"}, ["device='cuda:x'"]),
    ],
    ids=str,
)
def test_a_device_or_dtype_is_refused(options, parts, tmp_path):
    folder = write_llada(tmp_path)
    refused(InputError, parts, lambda: unmask.load(folder, **options))


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "seed": 0}, {"factor": 1.0}], ids=str)
def test_logits_that_are_no_numbers_are_a_decode_error(value, options):
    logits = sure_of([0.9] * 9)
    logits[6, 2] = value
    model = model_of(FakeDenoiser(logits), 8, 8)
    refused(DecodeError, ["'fake'", "NaN", "float32"], lambda: generate(model, [0], **options))


@pytest.mark.parametrize("first", [0, 1])
def test_a_row_is_not_refused_for_a_position_that_only_its_neighbour_asks_about(first):
    """Row 1's padding columns point at position 0, of which the model says NaN."""
    logits = sure_of([0.9] * 10)
    logits[0] = math.nan
    prompts = [Infill(1, [1, 1, 1], prompt=[0]), Infill(4, prompt=[0])]
    found = generate(model_of(FakeDenoiser(logits), 4, 4), prompts[first:] + prompts[:first])
    assert [len(result.token_ids) for result in found] == [4, 4]


def test_text_that_is_no_unicode_is_refused():
    tiny = unmask.load("tiny", device="cpu")
    for prompt in ("\ud800 hello", [{"role": "user", "content": "\udfff"}], Infill("\ud800", 1)):
        refused(PromptError, ["no valid Unicode"], lambda prompt=prompt: generate(tiny, prompt))


def test_a_tiny_temperature_draws_the_best_token():
    model = model_of(FakeDenoiser(sure_of([0.4] * 9, vocabulary=4)), 8, 8)
    [greedy] = generate(model, [0])
    [drawn] = generate(model, [0], temperature=1e-45, seed=0)
    assert drawn.token_ids == greedy.token_ids


def test_damaged_weights_are_a_decode_error(tmp_path):
    model = unmask.load(write_llada(tmp_path), device="cpu")
    model.denoiser.norm.weight.data.fill_(math.nan)
    refused(DecodeError, ["NaN"], lambda: generate(model, [1], max_new_tokens=4))


@pytest.mark.parametrize("content", [b"", b"text", b"\x08" + b"\0" * 7 + b"{}      "])
def test_a_file_that_is_no_trajectory_is_refused(content, tmp_path):
    path = tmp_path / "a.trajectory"
    path.write_bytes(content)
    refused(InputError, ["a.trajectory", "unmask generate --save"], lambda: Trajectory.load(path))


def test_a_trajectory_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "gone"
    refused(InputError, [str(path)], lambda: Trajectory.load(path))


def test_a_checkpoint_is_no_trajectory(tmp_path):
    path = write_llada(tmp_path) / "model.safetensors"
    refused(InputError, ["is no trajectory"], lambda: Trajectory.load(path))


def test_every_error_that_a_user_can_mend_is_a_value_error():
    assert issubclass(InputError, ValueError)
    assert issubclass(CheckpointError, InputError)
    assert issubclass(PromptError, InputError)
    assert issubclass(DecodeError, RuntimeError)
    assert not issubclass(DecodeError, InputError)


def test_a_refused_call_leaves_the_model_as_it_was(masked):
    before = masked.logits([1, 2, 3])
    with pytest.raises(InputError):
        generate(masked, [1, 2], threshold=2.0)
    assert torch.equal(masked.logits([1, 2, 3]), before)
