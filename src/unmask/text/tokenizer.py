"""Text to ids and back, from the tokenizer files of a checkpoint folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from unmask.errors import CheckpointError, PromptError
from unmask.text import special

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 (and so Dream) cuts text before merging."""
HALF = "\ufffd"
"""How a tokenizer shows bytes that are no whole character."""
LONG = 2048
"""Characters that are encoded at once. Longer texts are encoded while other threads go on."""
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""How a token of one byte is written by tokenizers that know whole characters otherwise."""
PRINTED = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTES = {chr(byte): byte for byte in PRINTED} | {
    chr(0x100 + at): byte for at, byte in enumerate(sorted({*range(0x100)} - {*PRINTED}))
}
"""Letters that stand for bytes in tokenizers that know bytes only (GPT-2's way)."""
QWEN2_NAMES = dict.fromkeys(("unk_token", "eos_token", "pad_token"), "<|endoftext|>")
"""What the class means where a folder says nothing else."""
QWEN2_CLASSES = (None, "Qwen2Tokenizer", "Qwen2TokenizerFast", "DreamTokenizer")


class TextCodec:
    """A tokenizer with the settings of its tokenizer_config.json."""

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
        self._tokenizer = tokenizer
        self.settings = settings

    def encode(self, text: str, *, plain: bool, most: int | None = None) -> list[int]:
        """Ids of ``text``; ``plain`` lets the tokenizer add its begin-of-text, if it has one.

        Raises:
            PromptError: ``text`` holds half a character (a lone surrogate), or its beginning has
                more than ``most`` ids.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise PromptError(
                f"the text {text[:40]!r} is no valid Unicode; give it in UTF-8"
            ) from None
        if most is not None:
            self._check_length(text, most)
        if len(text) <= LONG:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=plain).ids
            return ids
        # Of the library's calls those for batches alone let other threads run meanwhile.
        [found] = self._tokenizer.encode_batch_fast([text], add_special_tokens=plain)
        ids = found.ids
        return ids

    def _check_length(self, text: str, most: int) -> None:
        """Megabytes are not encoded to find that they are too long: beginnings of them are. Where
        one is cut its last word may fall into other tokens, so twice ``most`` have to be there."""
        size = max(LONG, 8 * most)
        while size < len(text):
            count = len(self.encode(text[:size], plain=False))
            if count > 2 * most:
                raise PromptError(
                    f"the text of {len(text)} characters is too long: its first {size} are {count} "
                    f"tokens already, and {most} fit; shorten it"
                )
            size *= 4

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Text of ``ids``, without special tokens unless they are asked for."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=not keep_special)

    def piece(self, token: int, *, first: bool) -> tuple[str, bytes]:
        """What one token adds to a text, as text and as bytes; the ``first`` may lose its space.

        Of a part of a character the text is a placeholder, and the bytes are its own.
        """
        text = self.decode([token], keep_special=True)
        if HALF in text:
            return text, self._bytes(token, text)
        if not first:
            text = self.decode([token, token], keep_special=True)[len(text) :]
        return text, text.encode()

    def _bytes(self, token: int, text: str) -> bytes:
        spelled = self._tokenizer.id_to_token(token) or ""
        if one := BYTE.fullmatch(spelled):
            return bytes([int(one[1], 16)])
        if all(letter in BYTES for letter in spelled):
            return bytes(BYTES[letter] for letter in spelled)
        return text.encode()

    def id_of(self, token: str) -> int | None:
        """The id of one token, None if there is no such token."""
        return self._tokenizer.token_to_id(token)

    def digest(self) -> str:
        """A hash of which id means which piece of text, added tokens aside."""
        known = self._tokenizer.get_vocab(with_added_tokens=False)
        text = json.dumps(sorted(known.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(folder: Path) -> TextCodec | None:
    """The tokenizer of a checkpoint: tokenizer.json, or vocab.json + merges.txt (Qwen2 scheme).

    None if the folder has neither.

    Raises:
        CheckpointError: the files are there and cannot be read.
    """
    settings = special.settings_of(folder)
    whole, vocab, merges = (
        folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt")
    )
    try:
        if whole.exists():
            found = Tokenizer.from_str(_text(whole))
            found.no_truncation()  # a file may carry both; a prompt is never cut or filled
            found.no_padding()
            special.add(found, folder, settings)
        elif vocab.exists() and merges.exists():
            settings = {**QWEN2_NAMES, **settings}
            found = _qwen2(vocab, merges, settings)
        else:
            return None
        found.encode_special_tokens = settings.get("split_special_tokens") is True
    except CheckpointError:
        raise
    except Exception as error:  # the library raises bare Exception on a malformed file
        raise CheckpointError(f"the tokenizer files in {folder} cannot be read: {error}") from None
    return TextCodec(found, settings)


def _text(path: Path) -> str:
    """Without the mark that some editors put before the first character."""
    return path.read_text(encoding="utf-8-sig")


def _qwen2(vocab: Path, merges: Path, settings: dict[str, Any]) -> Tokenizer:
    kind = settings.get("tokenizer_class")
    if kind not in QWEN2_CLASSES:
        raise CheckpointError(
            f"tokenizer_config.json: tokenizer_class={kind!r} is not read from vocab.json and "
            "merges.txt, only Qwen2's is; load it in transformers and save it as tokenizer.json"
        )
    lines = _text(merges).removesuffix("\n").split("\n")
    pairs = [line.split(" ") for line in lines if not line.startswith("#version")]
    tokenizer = Tokenizer(models.BPE(json.loads(_text(vocab)), [(a, b) for a, b in pairs]))
    tokenizer.normalizer = normalizers.NFC()
    spaced = settings.get("add_prefix_space") is True
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special.add(tokenizer, vocab.parent, settings)
    tokenizer.add_tokens(special.plain(settings))  # as the class does at the end, whatever was said
    _frame(tokenizer, special.named(settings), settings)
    return tokenizer


def _frame(tokenizer: Tokenizer, names: dict[str, str], settings: dict[str, Any]) -> None:
    """Let plain text begin and end with the tokens that the settings ask for."""
    first, last = (
        [names[f"{name}_token"]]
        if settings.get(f"add_{name}_token") is True and f"{name}_token" in names
        else []
        for name in ("bos", "eos")
    )
    if first or last:
        around = [(token, tokenizer.token_to_id(token)) for token in {*first, *last}]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last], special_tokens=around
        )
