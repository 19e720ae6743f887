"""Tokenizer files: one tokenizer.json, or vocab.json and merges.txt cut in the way of Qwen2."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from unmask import CheckpointError, PromptError
from unmask.text import tokenizer

# Every byte is a token; then five merges. "1 2" would be one token if digits were not cut apart.
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("h", "e"), ("1", "2"), ("Ġ", "he"), ("l", "l"), ("Ġ", "Ġ")]
VOCABULARY = {token: at for at, token in enumerate(ALPHABET + ["".join(two) for two in MERGES])}
ADDED = {
    "261": {"content": "<|im_end|>", "special": True},
    "262": {"content": "<|mask|>", "special": True},
    "263": {"content": "<tool>", "special": False},
}


def test_a_text_that_is_far_too_long_is_not_read_to_its_end(tmp_path):
    codec = tokenizer.read(write_qwen2(tmp_path))
    long = tokenizer.LONG * 3 * "h"
    with pytest.raises(PromptError, match=f"its first {tokenizer.LONG} are {tokenizer.LONG} tok"):
        codec.encode(long, plain=False, most=100)
    assert len(codec.encode(long, plain=False, most=len(long))) == len(long)
    # Just twice as long might still be a matter of where it was cut, so all of it is counted.
    assert len(codec.encode(long, plain=False, most=tokenizer.LONG // 2)) == len(long)


@pytest.mark.parametrize("beginning", ["", "he said ", "12 12 \U0001f600 "])
def test_a_long_text_has_the_ids_of_its_parts(tmp_path, beginning):
    codec = tokenizer.read(write_whole(tmp_path))
    text = beginning + "hello 12\n" * tokenizer.LONG
    ids = codec._tokenizer.encode(text, add_special_tokens=True).ids
    assert codec.encode(text, plain=True) == ids


def write_qwen2(folder, added=ADDED):
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("\n".join(" ".join(two) for two in MERGES))
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    return folder


def write_whole(folder):
    """A tokenizer.json of byte-level BPE with a begin-of-text that plain encoding adds."""
    whole = Tokenizer(models.BPE(VOCABULARY, MERGES))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    whole.add_special_tokens([AddedToken("<|start|>", special=True)])
    whole.post_processor = TemplateProcessing(
        single="<|start|> $A", special_tokens=[("<|start|>", 261)]
    )
    whole.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory):
    return tokenizer.read(write_qwen2(tmp_path_factory.mktemp("qwen2")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tokenizer.read(write_whole(tmp_path_factory.mktemp("whole")))


def tokens(codec, text):
    """The pieces a text is cut into, as the vocabulary spells them (a space is Ġ)."""
    spelled = {at: token for token, at in VOCABULARY.items()}
    spelled |= {int(at): entry["content"] for at, entry in ADDED.items()}
    return [spelled[token] for token in codec.encode(text, plain=False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello he", ["he", "ll", "o", "Ġhe"]),
        ("12", ["1", "2"]),  # digits stand alone, though there is a merge
        ("he12", ["he", "1", "2"]),
        ("  he", ["Ġ", "Ġhe"]),  # one space belongs to the word
        ("   he", ["ĠĠ", "Ġhe"]),
        ("he's", ["he", "'", "s"]),
        ("he<|im_end|>he", ["he", "<|im_end|>", "he"]),
        ("<tool>he", ["<tool>", "he"]),
        ("é", ["Ã", "©"]),  # bytes C3 A9
        ("e\u0301", ["Ã", "©"]),  # composed first (NFC)
    ],
)
def test_qwen2_cuts_and_merges(text, expected, qwen2):
    assert tokens(qwen2, text) == expected


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_decoding_gives_the_text_back(text, qwen2):
    composed = unicodedata.normalize("NFC", text)
    assert qwen2.decode(qwen2.encode(text, plain=False), keep_special=True) == composed


def test_special_tokens_are_left_out_of_text_unless_kept(qwen2):
    ids = qwen2.encode("he<|im_end|><tool>", plain=False)
    assert qwen2.decode(ids) == "he<tool>"
    assert qwen2.decode(ids, keep_special=True) == "he<|im_end|><tool>"


def test_an_id_is_found_by_its_token(qwen2):
    assert qwen2.id_of("<|mask|>") == 262
    assert qwen2.id_of("<|eot_id|>") is None


def test_an_added_token_whose_id_does_not_fit_the_vocabulary_is_refused(tmp_path):
    wrong = {"300": {"content": "<|im_end|>", "special": True}}
    with pytest.raises(CheckpointError, match=r"'<\|im_end\|>' the id 300, .* leads to 261"):
        tokenizer.read(write_qwen2(tmp_path, wrong))


def test_plain_text_gets_the_begin_of_text_and_a_rendered_template_does_not(whole):
    assert whole.encode("he", plain=True) == [261, VOCABULARY["he"]]
    assert whole.encode("he", plain=False) == [VOCABULARY["he"]]


def test_tokenizer_json_goes_before_vocabulary_and_merges(tmp_path):
    write_qwen2(tmp_path)
    write_whole(tmp_path)
    assert tokenizer.read(tmp_path).id_of("<|start|>") == 261


def test_a_folder_without_tokenizer_files_has_none(tmp_path):
    assert tokenizer.read(tmp_path) is None


def test_a_vocabulary_without_merges_is_none(tmp_path):
    (write_qwen2(tmp_path) / "merges.txt").unlink()
    assert tokenizer.read(tmp_path) is None


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "b"}'])
def test_a_broken_tokenizer_file_is_refused(name, text, tmp_path):
    (write_qwen2(tmp_path) / name).write_text(text)
    with pytest.raises(CheckpointError, match=r"tokenizer files in .* cannot be read"):
        tokenizer.read(tmp_path)


def test_a_broken_tokenizer_config_is_named(tmp_path):
    (write_qwen2(tmp_path) / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json cannot be read as JSON"):
        tokenizer.read(tmp_path)
