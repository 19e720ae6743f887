"""The tokens of an answer: their bytes give its text, and each is told where it begins."""

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import unmask
from unmask.server.spelling import UNLIKELY, Spelling
from unmask.text.tokenizer import TextCodec

TEXT = "na\u00efve \U0001f600 caf\u00e9: \u4f60\u597d, ok"


@pytest.fixture(scope="module")
def byte_level():
    return unmask.load("tiny-fast", device="cpu").codec


@pytest.fixture(scope="module")
def sentence_piece():
    """As Llama 2 has it: words with their space, and bytes for what is no word."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"naveok:,cf"]
    words += ["\u2581ok", "\u2581na"]
    pairs = [("o", "k"), ("\u2581", "ok"), ("n", "a"), ("\u2581", "na")]
    words += ["ok", "na"]
    vocabulary = {word: at for at, word in enumerate(words)}
    found = Tokenizer(models.BPE(vocabulary, pairs, byte_fallback=True, unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return TextCodec(found, {})


@pytest.fixture(params=["byte_level", "sentence_piece"])
def codec(request):
    return request.getfixturevalue(request.param)


def spelled(codec, texts, tail=()):
    """The tokens of every one of ``texts``, given out one after the other."""
    ids = codec.encode("".join(texts), plain=False)
    answer = SimpleNamespace(written=lambda: ([*ids, *tail], [0.5] * (len(ids) + len(tail))))
    spelling, text, found = Spelling(answer, codec), "", []
    for part in texts:
        text += part
        found.append(spelling.upto(text))
    return found


def test_bytes_of_tokens_are_those_of_the_text_though_characters_fall_apart(codec):
    [tokens] = spelled(codec, [TEXT])
    assert b"".join(bytes(one.bytes) for one in tokens) == TEXT.encode()
    assert any("\ufffd" in one.text for one in tokens)  # or this would show nothing


def test_a_token_begins_where_its_character_does(codec):
    [tokens] = spelled(codec, [TEXT])
    for one in tokens:
        if "\ufffd" not in one.text:
            assert TEXT[one.offset : one.offset + len(one.text)] == one.text
    first = next(one for one in tokens if one.bytes[0] == 0xF0 or one.bytes[:2] == [0x20, 0xF0])
    assert first.offset in (TEXT.index("\U0001f600"), TEXT.index("\U0001f600") - 1)


def test_what_is_told_piece_by_piece_is_the_whole(codec):
    [whole] = spelled(codec, [TEXT])
    parts = spelled(codec, ["na\u00efve", " \U0001f600 caf", "\u00e9: \u4f60", "\u597d, ok"])
    assert [one for part in parts for one in part] == whole


def test_a_special_token_has_no_place_in_the_text(byte_level):
    ids = [*byte_level.encode("a", plain=False), 0, *byte_level.encode(" b", plain=False)]
    answer = SimpleNamespace(written=lambda: (ids, [1.0] * len(ids)))
    tokens = Spelling(answer, byte_level).upto("a b")
    assert [one.text for one in tokens] == ["a", "<|end|>", " b"]
    assert [one.offset for one in tokens] == [0, 1, 1]


def test_tokens_that_add_no_text_are_told_where_they_count(byte_level):
    ids = [*byte_level.encode("a", plain=False), 0, 0, 0]
    answer = SimpleNamespace(written=lambda: (ids, [1.0] * len(ids)))
    spelling = Spelling(answer, byte_level)
    assert [one.text for one in spelling.upto("a")] == ["a"]
    assert [one.text for one in spelling.upto("a", 3)] == ["<|end|>"] * 2
    assert [one.offset for one in spelling.upto("a", 4)] == [1]


def test_a_probability_of_zero_has_a_number(byte_level):
    ids = byte_level.encode("a", plain=False)
    answer = SimpleNamespace(written=lambda: (ids, [0.0]))
    assert Spelling(answer, byte_level).upto("a")[0].logprob == UNLIKELY
