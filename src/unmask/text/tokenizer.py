"""Text to ids and back, from the tokenizer files of a checkpoint folder."""

from __future__ import annotations

import hashlib
import json
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


class TextCodec:
    """A tokenizer with the settings of its tokenizer_config.json."""

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
        self._tokenizer = tokenizer
        self.settings = settings

    def encode(self, text: str, *, plain: bool) -> list[int]:
        """Ids of ``text``; ``plain`` lets the tokenizer add its begin-of-text, if it has one.

        Raises:
            PromptError: ``text`` holds half a character (a lone surrogate).
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise PromptError(
                f"the text {text[:40]!r} is no valid Unicode; give it in UTF-8"
            ) from None
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=plain).ids
        return ids

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Text of ``ids``, without special tokens unless they are asked for."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=not keep_special)

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
