"""Which tokens stand beside a tokenizer's vocabulary? What all its files say, as transformers reads
them: tokenizer_config.json and, where that lists no added tokens, the older special_tokens_map.json
and added_tokens.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from unmask.errors import CheckpointError
from unmask.files import read_object

CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
LISTED = "added_tokens_decoder"
STANDARD = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
MANNERS = ("lstrip", "rstrip", "single_word", "normalized")
"""What an added token does to the text around it, and whether it is looked for in normalised text.
"""


def settings_of(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, with the names of special tokens that an older folder keeps apart.

    Raises:
        CheckpointError: a file cannot be read.
    """
    found = _object(folder / CONFIG)
    return found if LISTED in found else {**found, **_object(folder / MAP)}


def named(settings: Mapping[str, Any]) -> dict[str, str]:
    """Special tokens by the names that chat templates know.

    Raises:
        CheckpointError: one is no token.
    """
    return {name: token.content for name, token in _named(settings).items()}


def add(tokenizer: Tokenizer, folder: Path, settings: Mapping[str, Any]) -> None:
    """Tell a tokenizer of all tokens that are listed or named beside it.

    A tokenizer.json with added tokens of its own has the last word about ids.

    Raises:
        CheckpointError: a listed token is malformed, or its id does not go on from the vocabulary.
    """
    names, others = _named(settings), _others(settings)
    special = {token.content for token in names.values()}
    known = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    if LISTED in settings:
        file, listed = CONFIG, _listed(settings, special)
    else:
        file, listed = ADDED, _older(folder, special | {token.content for token in others}, known)
        unmarked = [token for token in known.values() if token.content in special]
        for token in unmarked:
            token.special = True
        tokenizer.add_tokens(unmarked)
    tokenizer.add_tokens([listed[number] for number in sorted(listed)])
    for number, token in () if known else listed.items():
        found = tokenizer.token_to_id(token.content)
        if found != number:
            raise CheckpointError(
                f"{file} gives {token.content!r} the id {number}, but the vocabulary leads to "
                f"{found}"
            )
    there = known.keys() | {token.content for token in listed.values()}
    more = [*names.values(), *others]
    tokenizer.add_tokens([token for token in more if token.content not in there])


def plain(settings: Mapping[str, Any]) -> list[AddedToken]:
    """All special tokens, none of which takes the spaces around it."""
    tokens = [*_named(settings).values(), *_others(settings)]
    return [AddedToken(token.content, special=True) for token in tokens]


def _object(path: Path) -> dict[str, Any]:
    return read_object(path, CheckpointError) if path.exists() else {}


def _named(settings: Mapping[str, Any]) -> dict[str, AddedToken]:
    """The standard names, then those of the model's own (``image_token``)."""
    found = {name: settings[name] for name in STANDARD if settings.get(name) is not None}
    own = [name for name in settings if name.endswith("_token") and name not in STANDARD]
    found |= {name: settings[name] for name in own if _content(settings[name]) is not None}
    more = settings.get("extra_special_tokens")
    found |= more if isinstance(more, dict) else {}
    return {name: _token(name, value) for name, value in found.items()}


def _others(settings: Mapping[str, Any]) -> list[AddedToken]:
    """Special tokens without a name; the field was called otherwise before transformers 5."""
    for field in ("extra_special_tokens", "additional_special_tokens"):
        given = settings.get(field)
        if given and not isinstance(given, dict):
            if not isinstance(given, list):
                raise CheckpointError(f"{field}={given!r} is no list of tokens; repair {CONFIG}")
            return [_token(field, value) for value in given]
    return []


def _listed(settings: Mapping[str, Any], names: set[str]) -> dict[int, AddedToken]:
    """Id -> added token, by the list in tokenizer_config.json."""
    given = settings[LISTED]
    if not isinstance(given, dict) or not all(number.isdecimal() for number in given):
        raise CheckpointError(f"{LISTED} is no table of ids and tokens; repair {CONFIG}")
    return {
        int(number): _token(LISTED, entry, special=_marked(entry) or _content(entry) in names)
        for number, entry in given.items()
    }


def _older(folder: Path, special: set[str], known: Mapping[str, object]) -> dict[int, AddedToken]:
    """Id -> added token, by added_tokens.json, which tells no more than this."""
    found = _object(folder / ADDED)
    if not all(isinstance(number, int) for number in found.values()):
        raise CheckpointError(f"{folder / ADDED} is no table of tokens and ids; repair it")
    return {
        number: AddedToken(text, special=text in special, normalized=text not in special)
        for text, number in found.items()
        if text not in known
    }


def _token(field: str, value: object, *, special: bool = True) -> AddedToken:
    """A token, given as text or as an object with ``content``."""
    text = _content(value)
    if text is None:
        raise CheckpointError(f"{field}={value!r} is no token; repair {CONFIG}")
    given = value if isinstance(value, dict) else {}
    manners = {name: bool(given[name]) for name in MANNERS if name in given}
    return AddedToken(text, special=special, **{"normalized": not special, **manners})


def _content(value: object) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _marked(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("special") is True
