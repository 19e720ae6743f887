"""Fast-dLLM v2 and SDAR against transformers: Qwen2 and Qwen3 under a block-causal mask.

Logits on random weights, and whole answers of the published decoding loops, restated here over full
forwards of the transformers model: no cache, no schedule, no canvas.
"""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

import unmask
from checkpoints import (
    FAST_DLLM_V2_CONFIG,
    MASK,
    SDAR_CONFIG,
    VOCABULARY,
    dream_shapes,
    random_tensors,
    sdar_shapes,
    write,
)
from unmask import generate

SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps",
    "tie_word_embeddings",
)  # fmt: skip
KINDS = {
    "fast_dllm_v2": (FAST_DLLM_V2_CONFIG, dream_shapes, Qwen2Config, Qwen2ForCausalLM, "bd_size"),
    "sdar": (SDAR_CONFIG, sdar_shapes, Qwen3Config, Qwen3ForCausalLM, "block_size"),
}
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))
TEXT = torch.randint(VOCABULARY - 2, (60,), generator=torch.Generator().manual_seed(7)).tolist()


class Pair:
    """The same weights in both implementations."""

    def __init__(self, kind, folder, *, tied=False, seed=0):
        published, shapes, config_of, model_of, span = KINDS[kind]
        config = {**published, "tie_word_embeddings": tied}
        tensors = random_tensors(shapes(config), seed)
        if tied:
            del tensors["lm_head.weight"]
        self.span = config[span]
        self.ours = unmask.load(write(folder, config, tensors), device="cpu")
        sizes = {name: config[name] for name in SIZES if name in config}
        rope = {"rope_type": "default", "rope_theta": config["rope_theta"]}
        self.theirs = model_of(
            config_of(**sizes, rope_parameters=rope, attn_implementation="eager")
        ).eval()
        missing = self.theirs.load_state_dict(tensors, strict=False)
        assert not missing.unexpected_keys
        assert missing.missing_keys == (["lm_head.weight"] if tied else [])

    @torch.no_grad()
    def raw(self, ids):
        """Rows of transformers' logits, every position seeing its block and those before it."""
        block = torch.arange(len(ids)) // self.span
        hidden = torch.zeros(len(ids), len(ids))
        hidden[block[None] > block[:, None]] = -torch.inf
        return self.theirs(torch.tensor([ids]), attention_mask=hidden[None, None]).logits[0]


@every_kind
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("length", [1, 7, 8, 21])
def test_logits(kind, tied, length, tmp_path):
    pair = Pair(kind, tmp_path, tied=tied)
    raw = pair.raw(TEXT[:length])
    shifted = pair.ours.card.logit_shift
    expected = torch.cat([raw[:1], raw[:-1]]) if shifted else raw
    assert (pair.ours.logits(TEXT[:length]) - expected).abs().max() < 2e-4


def believed(raw, bar):
    """Tokens and confidences of rows. (Our mask token is forbidden; the published loops may write
    it and then never end.)"""
    raw[:, MASK] = -torch.inf
    share = raw.double().softmax(-1)
    confidence, token = share.max(-1)
    chosen = confidence > bar
    chosen[confidence.argmax()] = True
    return token, chosen


def published(pair, prompt, end, part, bar, *, shifted):
    """Answer up to position ``end``, a multiple of the block, and the forwards that wrote tokens.

    Fast-dLLM v2 (batch_sample in generation_functions.py): the last row of a finished block is
    token 0 of the next one, whatever its probability; inside a block, parts from left to right.
    SDAR (generate.py, low_confidence_dynamic with one token a step at least): rows speak for
    themselves, and the block is its own part.
    """
    text, forwards = list(prompt), 0
    while len(text) < end:
        if shifted and len(text) % pair.span == 0:
            token, _ = believed(pair.raw(text)[-1:], bar)
            text.append(int(token))
            forwards += 1
        text += [MASK] * (-len(text) % pair.span or (0 if shifted else pair.span))
        base = len(text) - pair.span
        for start in range(base, len(text), part):
            masked = [at for at in range(start, start + part) if text[at] == MASK]
            while masked:
                token, chosen = believed(pair.raw(text)[[at - shifted for at in masked]], bar)
                for at, one, keep in zip(masked, token.tolist(), chosen.tolist(), strict=True):
                    text[at] = one if keep else MASK
                masked = [at for at in masked if text[at] == MASK]
                forwards += 1
    return text[len(prompt) :], forwards


@pytest.mark.parametrize("length", [1, 8, 11, 15])
@pytest.mark.parametrize("part", [2, 8])
@pytest.mark.parametrize("bar", [0.3, 0.7, 1.0])
def test_fast_dllm_v2_writes_what_the_published_loop_writes(length, part, bar, tmp_path):
    pair = Pair("fast_dllm_v2", tmp_path)
    limits = {"max_new_tokens": 32 - length, "block_length": part, "threshold": bar}
    [result] = generate(pair.ours, [TEXT[:length]], compat="reference", **limits)
    expected = published(pair, TEXT[:length], 32, part, bar, shifted=1)
    assert (result.token_ids, result.forwards) == expected


@pytest.mark.parametrize("length", [1, 3, 4, 9, 12])
@pytest.mark.parametrize("bar", [0.2, 0.5, 1.0])
def test_sdar_writes_what_the_published_loop_writes(length, bar, tmp_path):
    pair = Pair("sdar", tmp_path)
    limits = {"max_new_tokens": 28 - length, "threshold": bar, "early_stop": False}
    [result] = generate(pair.ours, [TEXT[:length]], **limits)
    expected = published(pair, TEXT[:length], 28, 4, bar, shifted=0)
    assert (result.token_ids, result.forwards) == expected
