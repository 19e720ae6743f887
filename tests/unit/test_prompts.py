"""Prompts as text, messages and ids; answers as text."""

from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import unmask
from checkpoints import END, VOCABULARY, write_llada
from unmask import Infill, PromptError, generate

TURN_END = 37
LIMITS = {"max_new_tokens": 4, "block_length": 4}
TEMPLATE = "{% for m in messages %}w1 {{ m.content }} {% endfor %}w2"


def write_words(folder):
    """Words w0 ... w36 are ids 0 ... 36; then the end of a turn, the end of the text, the mask."""
    words = {f"w{at}": at for at in range(TURN_END)}
    special = ["<|eot_id|>", "<|endoftext|>", "<|mask|>"]
    words |= {token: TURN_END + at for at, token in enumerate(special)}
    assert len(words) == VOCABULARY
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    folder = write_llada(tmp_path_factory.mktemp("chatty"))
    write_words(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return unmask.load(folder, device="cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = write_llada(tmp_path_factory.mktemp("plain"))
    write_words(folder)
    return unmask.load(folder, device="cpu")


def prompt_of(result):
    trajectory = result.trajectory
    return trajectory.tokens_L[: trajectory.prompt_length].tolist()


@pytest.mark.parametrize(
    ("prompt", "raw", "ids"),
    [
        ("w5 w6", False, [1, 5, 6, 2]),
        ("w5 w6", True, [5, 6]),
        ([{"role": "user", "content": "w5"}], False, [1, 5, 2]),
        (
            [{"role": "user", "content": "w5"}, {"role": "assistant", "content": "w7"}],
            False,
            [1, 5, 1, 7, 2],
        ),
        ([5, 6], False, [5, 6]),
        (Infill(2, prompt="w5"), False, [1, 5, 2]),
        (Infill(2, prompt="w5"), True, [5]),
        (Infill(2, prompt=[5]), False, [5]),
    ],
)
def test_a_prompt_becomes_these_ids(prompt, raw, ids, chatty):
    assert prompt_of(generate(chatty, prompt, raw=raw, **LIMITS)[0]) == ids


def test_text_without_a_template_is_encoded_as_it_is(plain):
    assert prompt_of(generate(plain, "w5 w6", **LIMITS)[0]) == [5, 6]


def test_messages_need_a_template(plain):
    with pytest.raises(PromptError, match="has no chat template"):
        generate(plain, [{"role": "user", "content": "w5"}], **LIMITS)


@pytest.mark.parametrize(
    ("prompts", "count"),
    [
        ("w5", 1),
        ([5, 6], 1),
        ([{"role": "user", "content": "w5"}], 1),
        (["w5", "w6"], 2),
        ([[5], [6], [7]], 3),
        (("w5", [6]), 2),
        (["w5", [6], [{"role": "user", "content": "w5"}], Infill(1, prompt="w5")], 4),
    ],
)
def test_one_prompt_or_many(prompts, count, chatty):
    assert len(generate(chatty, prompts, **LIMITS)) == count


def test_the_end_of_a_turn_ends_a_text_too(chatty, tmp_path):
    assert chatty.card.end_ids == (END, TURN_END)
    assert unmask.load(write_llada(tmp_path), device="cpu").card.end_ids == (END,)


def test_text_is_cut_before_the_first_end_and_without_special_tokens(plain):
    result = generate(plain, [1, 2, 3], "vanilla", max_new_tokens=24, block_length=8)[0]
    ids = result.token_ids
    ends = [at for at, token in enumerate(ids) if token in plain.card.end_ids]
    shown = ids[: ends[0]] if ends else ids
    assert result.text == "".join(f"w{token}" for token in shown)


def test_an_infill_of_text_shows_text_and_gaps(plain):
    [result] = generate(plain, Infill("w9 w8", 1, "w7", prompt="w5"), temperature=0.0)
    assert result.token_ids[:2] == [9, 8]
    assert result.token_ids[3:] == [7]
    assert result.text.startswith("w9w8")
    assert result.text.endswith("w7")


def test_an_empty_text_is_refused(chatty):
    for text in ("", "  \n"):
        with pytest.raises(PromptError, match="the prompt is empty"):
            generate(chatty, text, **LIMITS)


def test_checkpoint_defaults_give_way_to_what_is_asked_for(tmp_path):
    folder = write_llada(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 6}))
    model = unmask.load(folder, device="cpu")
    assert len(generate(model, [1], block_length=4)[0].token_ids) == 6
    assert len(generate(model, [1], block_length=4, max_new_tokens=3)[0].token_ids) == 3
