"""Tokenizer folders of every age against transformers: the same ids, text and named tokens."""

from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from unmask import CheckpointError
from unmask.text import special, tokenizer

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("h", "e"), ("1", "2"), ("Ġ", "he"), ("l", "l"), ("Ġ", "Ġ")]
VOCABULARY = {token: at for at, token in enumerate(ALPHABET + ["".join(two) for two in MERGES])}
ADDED = {"<|im_end|>": 261, "<|mask|>": 262, "<tool>": 263}
TEXTS = [
    "he <|im_end|> he <tool> he<|mask|>",
    "<|im_end|>he  <tool>  ",
    " he<tool>he <tool> <|x|> 12 <|endoftext|> <img> e\u0301",
    "he<|start|> he\n<|im_end|>\n",
    "hello <|mask|><tool><|start|><|im_end|> <|im_end|>",
]
MARK = "\ufeff"
QWEN2 = {"tokenizer_class": "Qwen2Tokenizer"}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}


def token(text, **manners):
    return {
        "content": text, "lstrip": False, "rstrip": False, "normalized": False,
        "single_word": False, **manners,
    }  # fmt: skip


def parts(folder, mark="", **files):
    """vocab.json and merges.txt, and further JSON files by name."""
    (folder / "vocab.json").write_text(mark + json.dumps(VOCABULARY))
    lines = ["#version: 0.2", *(" ".join(two) for two in MERGES), ""]
    (folder / "merges.txt").write_text(mark + "\n".join(lines))
    return further(folder, mark, **files)


def whole(folder, mark="", added=(), **files):
    """tokenizer.json with a begin of text, and further JSON files by name."""
    made = Tokenizer(models.BPE(VOCABULARY, MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_tokens([AddedToken("<|start|>", special=True), *added])
    made.post_processor = TemplateProcessing(
        single="<|start|> $A", special_tokens=[("<|start|>", 261)]
    )
    (folder / "tokenizer.json").write_text(mark + made.to_str())
    return further(folder, mark, **files)


def further(folder, mark="", **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(mark + json.dumps(content))
    return folder


def compare(kind, folder):
    theirs, ours = kind.from_pretrained(folder), tokenizer.read(folder)
    for text in TEXTS:
        for plain in (False, True):
            ids = theirs.encode(text, add_special_tokens=plain)
            assert ours.encode(text, plain=plain) == ids
            for skip in (False, True):
                decoded = theirs.decode(ids, skip_special_tokens=skip)
                assert ours.decode(ids, keep_special=not skip) == decoded
    assert special.named(ours.settings) == theirs.special_tokens_map


LISTED = {
    "261": token("<|im_end|>", lstrip=True, special=True),
    "262": token("<tool>", rstrip=True, lstrip=True, special=False, normalized=True),
    "263": token("<|mask|>", single_word=True, rstrip=True, special=True),
}
MAP = {"eos_token": token("<|im_end|>", lstrip=True), "mask_token": "<|mask|>"}
PARTS = {
    "all four older files": {
        "tokenizer_config": QWEN2, "special_tokens_map": MAP, "added_tokens": ADDED,
    },
    "no config": {"special_tokens_map": MAP, "added_tokens": ADDED},
    "no map": {"tokenizer_config": QWEN2, "added_tokens": ADDED},
    "no added tokens": {"special_tokens_map": MAP},
    "unsorted ids": {"added_tokens": dict(reversed(ADDED.items()))},
    "nothing more": {},
    "unnamed specials": {
        "special_tokens_map": {"additional_special_tokens": ["<tool>", "<|mask|>", "<|x|>"]},
        "added_tokens": ADDED,
    },
    "names in the config": {
        "tokenizer_config": QWEN2 | {
            "eos_token": "<|im_end|>", "additional_special_tokens": ["<tool>"], "pad_token": None,
            "mask_token": token("<|mask|>", lstrip=True, __type="AddedToken"),
            "image_token": "<img>",
        },
    },
    "a list of added tokens": {"tokenizer_config": QWEN2 | {"added_tokens_decoder": LISTED}},
    "a list, and an older map that does not count": {
        "tokenizer_config": QWEN2 | {"added_tokens_decoder": LISTED, "eos_token": "<|im_end|>"},
        "special_tokens_map": {"unk_token": "<|x|>"},
        "added_tokens": {"<|x|>": 264},
    },
    "texts with a begin and an end": {
        "tokenizer_config": QWEN2 | {
            "add_bos_token": True, "add_eos_token": True, "bos_token": "<tool>",
            "eos_token": "<|im_end|>", "add_prefix_space": True,
        },
        "added_tokens": ADDED,
    },
    "specials that are split": {
        "tokenizer_config": QWEN2 | {
            "split_special_tokens": True, "extra_special_tokens": {"boi_token": "<img>"},
        },
        "special_tokens_map": MAP, "added_tokens": ADDED,
    },
    "specials of the vocabulary": {
        "special_tokens_map": {"eos_token": "he", "additional_special_tokens": ["ll"]},
    },
}  # fmt: skip
WHOLE = {
    "names": {
        "tokenizer_config": FAST | {
            "eos_token": "<|im_end|>", "additional_special_tokens": ["<tool>"],
        },
    },
    "a list": {
        "tokenizer_config": FAST | {
            "eos_token": "<|im_end|>",
            "added_tokens_decoder": {
                "261": token("<|start|>", lstrip=True, rstrip=True, special=True),
                "262": token("<|im_end|>", lstrip=True, special=True),
                "263": token("<tool>", rstrip=True, special=False, normalized=True),
            },
        },
    },
    "older files": {
        "tokenizer_config": FAST | {"eos_token": "<|im_end|>"},
        "special_tokens_map": {"mask_token": token("<|mask|>", lstrip=True)},
        "added_tokens": {"<tool>": 262, "<|start|>": 261},
    },
    "a begin that the settings deny": {
        "tokenizer_config": FAST | {
            "bos_token": "<|start|>", "add_bos_token": False, "add_eos_token": True,
        },
    },
    "specials that are split": {"tokenizer_config": FAST | {"split_special_tokens": True}},
    "nothing more": {"tokenizer_config": FAST},
}  # fmt: skip


@pytest.mark.parametrize("files", PARTS.values(), ids=PARTS)
def test_vocabulary_and_merges(files, tmp_path):
    compare(Qwen2Tokenizer, parts(tmp_path, **files))


@pytest.mark.parametrize("files", WHOLE.values(), ids=WHOLE)
def test_one_file_and_what_stands_beside_it(files, tmp_path):
    compare(AutoTokenizer, whole(tmp_path, **files))


@pytest.mark.parametrize(
    "config", [FAST | {"eos_token": "<tool>", "cls_token": "<|im_end|>"}, None]
)
def test_manners_of_added_tokens_in_one_file(config, tmp_path):
    added = [
        AddedToken("<tool>", lstrip=True, rstrip=True, special=False, normalized=False),
        AddedToken("<|im_end|>", rstrip=True, special=True),
        AddedToken("<|mask|>", single_word=True, lstrip=True, special=True),
    ]
    folder = whole(tmp_path, added=added, **({"tokenizer_config": config} if config else {}))
    compare(PreTrainedTokenizerFast, folder)


def test_the_end_of_turn_of_an_older_folder_is_one_token(tmp_path):
    codec = tokenizer.read(parts(tmp_path, **PARTS["all four older files"]))
    assert codec.id_of("<|im_end|>") == 261
    assert codec.encode("he<|im_end|><|mask|><tool>", plain=False) == [256, 261, 262, 263]


def test_unnamed_specials_of_a_map_may_be_objects(tmp_path):
    """transformers 4 wrote them so."""
    more = {"additional_special_tokens": [token("<tool>"), "<|mask|>"]}
    codec = tokenizer.read(parts(tmp_path, special_tokens_map=more, added_tokens=ADDED))
    assert codec.decode([256, 261, 262, 263]) == "he<|im_end|>"


@pytest.mark.parametrize("layout", [parts, whole])
def test_a_mark_before_the_first_character_changes_nothing(layout, tmp_path):
    files = PARTS["all four older files"] | {
        "tokenizer_config": {},
        "added_tokens": {"<tool>": 262},
    }
    if layout is parts:
        files |= {"added_tokens": ADDED}
    for folder, mark in ((tmp_path / "plain", ""), (tmp_path / "marked", MARK)):
        folder.mkdir()
        layout(folder, mark, **files)
    plain, marked = (tokenizer.read(tmp_path / name) for name in ("plain", "marked"))
    for text in TEXTS:
        assert plain.encode(text, plain=True) == marked.encode(text, plain=True)


def test_lines_of_merges_may_end_as_on_windows(tmp_path):
    expected = tokenizer.read(parts(tmp_path)).encode("hello he", plain=False)
    path = tmp_path / "merges.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert tokenizer.read(tmp_path).encode("hello he", plain=False) == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"added_tokens": {"<|im_end|>": 300}},
            r"added_tokens\.json gives '<\|im_end\|>' the id 300",
        ),
        ({"added_tokens": {"<|im_end|>": "261"}}, r"added_tokens\.json is no table"),
        (
            {"tokenizer_config": {"eos_token": 5}},
            r"eos_token=5 is no token; repair tokenizer_config",
        ),
        (
            {"tokenizer_config": {"pad_token": {"text": "x"}}},
            r"pad_token=\{'text': 'x'\} is no token",
        ),
        (
            {"special_tokens_map": {"additional_special_tokens": "<x>"}},
            "'<x>' is no list of tokens",
        ),
        ({"special_tokens_map": {"additional_special_tokens": [5]}}, "=5 is no token"),
        ({"tokenizer_config": {"added_tokens_decoder": ["x"]}}, "added_tokens_decoder is no table"),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"a": {}}}},
            "added_tokens_decoder is no table",
        ),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"261": {}}}},
            r"added_tokens_decoder=\{\} is no",
        ),
        (
            {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer"}},
            "tokenizer_class='GPT2Tokenizer'",
        ),
        ({"tokenizer_config": {"tokenizer_class": "LlamaTokenizer"}}, "only Qwen2's is"),
    ],
)
def test_what_cannot_be_meant_is_named(files, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        tokenizer.read(parts(tmp_path, **files))


@pytest.mark.parametrize("name", ["special_tokens_map", "added_tokens", "tokenizer_config"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_file_is_named(name, text, tmp_path):
    (parts(tmp_path) / f"{name}.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"{name}\.json (cannot be read as|holds no) JSON"):
        tokenizer.read(tmp_path)
