"""The llama family against transformers, on random weights: causal, and with full attention."""

import json
import warnings

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from unmask import CheckpointError, generate, load
from unmask.distill import checkpoint

SIZES = {
    "hidden_size": 36, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
    "num_key_value_heads": 1, "vocab_size": 64, "max_position_embeddings": 96,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "attn_implementation": "eager",
}  # fmt: skip
IDS = torch.randint(3, 64, (13,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def theirs(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(**SIZES, tie_word_embeddings=request.param)
        model = LlamaForCausalLM(config).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model


def saved(theirs, folder, **changes):
    theirs.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return load(folder, "cpu")


@pytest.mark.parametrize("changes", [{}, {"head_dim": None}], ids=["", "head_dim"])
def test_causal(theirs, tmp_path, changes):
    ours = saved(theirs, tmp_path, **changes)
    with torch.no_grad():
        raw = theirs(torch.tensor([IDS])).logits[0]
    found = ours.logits(IDS)  # row i is about token i
    assert torch.allclose(found[1:], raw[:-1], atol=1e-4)
    answer = generate(ours, [IDS], max_new_tokens=12)[0].token_ids
    own = theirs.generate(
        torch.tensor([IDS]), max_new_tokens=12, do_sample=False, bad_words_ids=[[1]]
    )[0, len(IDS) :].tolist()
    assert answer[: len(own)] == own


def test_full_attention(theirs, tmp_path):
    ours = saved(theirs, tmp_path, model_type="llama-a2d", mask_token_id=63)
    everything = torch.zeros(1, 1, len(IDS), len(IDS))
    with torch.no_grad():
        raw = theirs(torch.tensor([IDS]), attention_mask=everything).logits[0]
    assert torch.allclose(ours.logits(IDS)[1:], raw[:-1], atol=1e-4)
    assert not ours.card.causal
    [result] = generate(ours, [IDS], "d3llm", max_new_tokens=16, block_length=4, threshold=0.5)
    assert 63 not in result.token_ids


def test_a_student_loads_in_transformers(theirs, tmp_path):
    """Names, tied or not, and number type are those of the base."""
    saved(theirs, tmp_path / "base", model_type="llama-a2d", mask_token_id=63)
    model = load(tmp_path / "base", "cpu")
    with torch.no_grad():
        for weight in model.denoiser.parameters():
            weight.add_(0.01)
    checkpoint.export(model.denoiser, tmp_path / "base", tmp_path / "student")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # llama-a2d is our name for a llama that sees everything
        student = LlamaForCausalLM.from_pretrained(tmp_path / "student").eval()
    everything = torch.zeros(1, 1, len(IDS), len(IDS))
    with torch.no_grad():
        raw = student(torch.tensor([IDS]), attention_mask=everything).logits[0]
    assert torch.allclose(model.logits(IDS)[1:], raw[:-1], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type='llama3'"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"head_dim": 16}, "head_dim=16"),
        ({"model_type": "llama-a2d"}, "field 'mask_token_id' is missing"),
    ],
)
def test_what_the_body_cannot_do_is_named(tmp_path, changes, message):
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True))
    with pytest.raises(CheckpointError, match=message):
        saved(model, tmp_path, **changes)
