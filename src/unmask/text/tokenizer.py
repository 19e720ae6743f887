"""Text to ids and back, from the tokenizer files of a checkpoint folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from unmask.errors import CheckpointError, PromptError
from unmask.files import read_object

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
    settings = _settings(folder)
    whole, vocab, merges = (
        folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt")
    )
    try:
        if whole.exists():
            found = Tokenizer.from_file(str(whole))
            found.no_truncation()  # a file may carry both; a prompt is never cut or filled
            found.no_padding()
            return TextCodec(found, settings)
        if vocab.exists() and merges.exists():
            return TextCodec(_qwen2(vocab, merges, settings), settings)
    except Exception as error:  # the library raises bare Exception on a malformed file
        raise CheckpointError(f"the tokenizer files in {folder} cannot be read: {error}") from None
    return None


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return read_object(path, CheckpointError) if path.exists() else {}


def _qwen2(vocab: Path, merges: Path, settings: dict[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = settings.get("added_tokens_decoder", {})
    for number in sorted(added, key=int):
        entry = added[number]
        token = AddedToken(entry["content"], special=entry["special"], normalized=False)
        (tokenizer.add_special_tokens if entry["special"] else tokenizer.add_tokens)([token])
        if tokenizer.token_to_id(entry["content"]) != int(number):
            raise CheckpointError(
                f"tokenizer_config.json gives {entry['content']!r} the id {number}, "
                f"but the vocabulary leads to {tokenizer.token_to_id(entry['content'])}"
            )
    return tokenizer
