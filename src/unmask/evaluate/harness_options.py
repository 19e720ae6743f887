"""What lm-eval hands over as plain values (model_args, gen_kwargs) -> what this package takes."""

from __future__ import annotations

import ast
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask import catalogue
from unmask.decode import policy, proposal
from unmask.decode.generate import BATCH
from unmask.decode.options import table
from unmask.decode.prompts import codec_of
from unmask.decode.saved import read_settings
from unmask.errors import InputError
from unmask.evaluate.likelihood import Effort
from unmask.models.loading import Model, load

LOG = logging.getLogger(__name__)
SAMPLING = frozenset(option.name for option in proposal.SAMPLING if option is not proposal.SEED)
OWN = ("pretrained", "device", "dtype", "batch_size", "preset", "settings", "mc_samples", "seed")
IGNORED = ("max_batch_size", "trust_remote_code")
"""The first belongs to lm-eval's search for a batch size; no code of a checkpoint is ever run."""
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names that lm-eval knows for the length of an answer, the first that is given counts."""
STOPS = ("until", "stop")


@dataclass(frozen=True)
class Options:
    """A loaded model and how it decodes and scores."""

    model: Model
    preset: str | None
    overrides: dict[str, Any]
    effort: Effort


@dataclass(frozen=True)
class Wanted:
    """How one text is to be written: ``stops`` cut it, ``overrides`` come before the model's."""

    stops: list[str]
    overrides: dict[str, Any]


def read_options(given: Mapping[str, Any]) -> Options:
    """Options from model_args; ``pretrained`` may also be a loaded model.

    Raises:
        InputError: a name or value that cannot be, or a model without a tokenizer.
    """
    values = {name: value for name, value in given.items() if value is not None}
    decoding = _decoding()
    for name in values:
        if name in SAMPLING:
            raise InputError(
                f"{name}={values[name]!r} is no model argument, for tasks set their own; "
                f"give it as --gen_kwargs {name}={values[name]},do_sample=True"
            )
        if name not in {*OWN, *decoding, *IGNORED}:
            raise catalogue.unknown("model argument", name, sorted({*OWN, *decoding}))
    if str(values.get("trust_remote_code", False)).lower() not in ("false", "0"):
        LOG.warning("trust_remote_code: a data set may run code, a checkpoint's code never is")
    preset = values.get("preset")
    overrides = {name: _number(values[name], name) for name in decoding & values.keys()}
    if "settings" in values:
        if preset is not None:
            raise InputError("preset cannot be combined with settings; drop one of the two")
        saved = read_settings(str(values["settings"]))
        preset = saved.pop("preset")
        overrides = {**saved, **overrides}
    model = values.get("pretrained", "tiny")
    if not isinstance(model, Model):
        model = load(str(model), *(str(values.get(name, "auto")) for name in ("device", "dtype")))
    codec_of(model)
    policy.make(model.card, preset, overrides, model.defaults)  # to be told before data is loaded
    effort = Effort(
        samples=_whole(values, "mc_samples", Effort.samples),
        seed=_whole(values, "seed", Effort.seed, least=0),
        batch_size=_batch_size(values),
    )
    return Options(model, preset, overrides, effort)


def read_wanted(given: Mapping[str, Any]) -> Wanted:
    """What the gen_kwargs of a task (and of --gen_kwargs) ask for.

    Greedy unless ``do_sample`` is true or, where that is not said, ``temperature`` is above 0; then
    ``top_p`` and ``top_k`` have no meaning and are dropped, as many tasks give them anyway.
    do_sample=True alone means a temperature of 1, as in transformers.

    Raises:
        InputError: something that a diffusion model does not do.
    """
    decoding = _decoding()
    values = {name: _number(value, name) for name, value in given.items() if value is not None}
    if values.get("num_beams") == 1:
        del values["num_beams"]
    known = {*LENGTHS, *STOPS, "do_sample", *SAMPLING, *decoding}
    for name in values:
        if name not in known:
            raise catalogue.unknown("generation argument", name, sorted(known))
    sample = values.get("do_sample", values.get("temperature", 0) != 0)
    if not isinstance(sample, bool):
        raise InputError(f"do_sample={sample!r} is not allowed; give True or False")
    temperature = values.get("temperature", 1.0) if sample else 0.0
    taken = decoding - set(LENGTHS) | (SAMPLING if temperature else set())
    overrides = {name: value for name, value in values.items() if name in taken}
    overrides["temperature"] = temperature
    lengths = [values[name] for name in LENGTHS if name in values]
    if lengths:
        overrides["max_new_tokens"] = lengths[0]
    return Wanted([stop for name in STOPS for stop in _stops(values.get(name))], overrides)


def seed_of(seed: int, ids: list[int], repeat: int) -> int:
    """The seed of one answer: its own for every prompt, and for every repetition of it."""
    key = hashlib.blake2b(repr((seed, ids, repeat)).encode(), digest_size=8).digest()
    return int.from_bytes(key, "little")


def _stops(given: Any) -> list[str]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise InputError(f"until={given!r} is not allowed; give a text or a list of texts")
    return [stop for stop in stops if stop]


def _decoding() -> set[str]:
    """The options that both kinds of arguments may hold."""
    return table().keys() - SAMPLING - {proposal.SEED.name}


def _number(value: Any, name: str) -> Any:
    """A number or truth value that came as text."""
    entry = table().get(name)
    if not isinstance(value, str) or name in STOPS or (entry and entry.kind is str):
        return value
    try:
        return ast.literal_eval(value.strip().capitalize())
    except (ValueError, SyntaxError):
        return value  # whoever reads it says what is allowed


def _whole(values: Mapping[str, Any], name: str, default: int, least: int = 1) -> int:
    value = _number(values.get(name, default), name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise InputError(
            f"{name}={values[name]!r} is not allowed; give a whole number of at least {least}"
        )
    return value


def _batch_size(values: Mapping[str, Any]) -> int:
    """``auto`` is the batch size of `unmask.generate`."""
    if str(values.get("batch_size", 1)).split(":")[0] == "auto":
        return BATCH
    return _whole(values, "batch_size", 1)
