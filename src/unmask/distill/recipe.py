"""What a training run is made of, as data: a TOML file in `recipes/`, or one of yours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from unmask import catalogue
from unmask.decode.presets import PRESETS
from unmask.decode.settings import LARGEST, in_range, whole_number
from unmask.errors import InputError
from unmask.files import FAULTS, reason_of

STATES = "unmask.distill.states"
OBJECTIVES = "unmask.distill.objectives"
ORDERS = ("teacher", "left", "entropy")
SCHEDULES = ("constant", "cosine", "linear")
WEIGHTINGS = ("even", "inverse")


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters. ``targets``: last parts of the checkpoint's own module names."""

    rank: int
    alpha: int
    targets: tuple[str, ...]

    def __post_init__(self) -> None:
        whole_number("rank", self.rank, 1, "a whole number of at least 1")
        whole_number("alpha", self.alpha, 1, "a whole number of at least 1")


@dataclass(frozen=True)
class Reference:
    """What the reference does otherwise; read under ``compat="reference"`` only."""

    divisor: float = 1.0
    certainty_on_complement: bool = True
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decode:
    """The quick decode of a look: how many held-out prompts, the preset and what is set besides. It
    changes nothing of what is learnt."""

    preset: str = "d3llm"
    prompts: int = 16
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _choice("preset", self.preset, PRESETS)
        whole_number("decode.prompts", self.prompts, 1, "a whole number of at least 1")
        if "max_new_tokens" in self.settings:
            raise InputError("decode.max_new_tokens is that of the held-out texts; leave it out")


@dataclass(frozen=True)
class Recipe:
    """A recipe; every field can be set in TOML and by ``--set``.

    ``ratio``: least mask ratio at the start, at the end, and largest; an example's ratio is
    uniform between the least of the moment and the largest. ``widths``: window width by epoch.
    ``depth``: most windows in flight. ``filler``: share of draws that ask for padding. ``horizon``:
    windows of masks in sight behind the last asked one, as the decoder has them; None: all.
    ``order``: teacher, left (to right) or entropy (of one forward). ``weighting``: even, or
    inverse (to the mask ratio: the likelihood bound of LLaDA, eq. 3). ``rate``: peak learning
    rate; ``warmup``: share of the steps. ``batch``: texts a step. ``decode``: what a look tries.
    """

    state: str
    objectives: Mapping[str, float]
    ratio: tuple[float, float, float]
    widths: tuple[int, ...]
    rate: float
    epochs: float
    batch: int
    about: str = ""
    order: str = "teacher"
    complement: bool = True
    temperature: float = 1.0
    weighting: str = "even"
    depth: int = 1
    filler: float = 0.1
    horizon: int | None = None
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.01
    clip: float = 1.0
    max_length: int = 1024
    keep_wrong: bool = False
    compat: str | None = None
    lora: Lora | None = None
    reference: Reference = field(default_factory=Reference)
    decode: Decode = field(default_factory=Decode)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_numbers()
        self._check_lists()

    def _check_names(self) -> None:
        _choice("state", self.state, catalogue.names(STATES))
        _choice("order", self.order, ORDERS)
        _choice("schedule", self.schedule, SCHEDULES)
        _choice("weighting", self.weighting, WEIGHTINGS)
        _need("compat", self.compat, self.compat in (None, "reference"), "reference, or nothing")
        _need("objectives", self.objectives, _is_table(self.objectives), "names and weights")
        for name, weight in self.objectives.items():
            _choice("objective", name, catalogue.names(OBJECTIVES))
            in_range(f"objectives.{name}", weight, 0, LARGEST, "a weight of at least 0")

    def _check_numbers(self) -> None:
        for name in ("rate", "epochs", "temperature", "clip"):
            in_range(name, getattr(self, name), 0, LARGEST, "a number above 0", above=True)
        for name in ("filler", "warmup", "weight_decay"):
            in_range(name, getattr(self, name), 0, 1, "0 to 1")
        for name in ("batch", "max_length", "depth"):
            whole_number(name, getattr(self, name), 1, "a whole number of at least 1")
        if self.horizon is not None:
            whole_number("horizon", self.horizon, 0, "a number of windows, 0 or more, or none")
            _need("horizon", self.horizon, not self.compat, "none: no reference has one")
        for name in ("complement", "keep_wrong"):
            value = getattr(self, name)
            _need(name, value, isinstance(value, bool), "true or false")

    def _check_lists(self) -> None:
        tables = {"lora": Lora | None, "reference": Reference, "decode": Decode}
        for name, kind in tables.items():
            value = getattr(self, name)
            _need(name, value, isinstance(value, kind), "a table with its fields")
        for name in ("ratio", "widths"):
            value = getattr(self, name)
            _need(name, value, isinstance(value, tuple) and bool(value), "a list of numbers")
        for ratio in self.ratio:
            in_range("ratio", ratio, 0, 1, "three numbers from 0 to 1")
        rising = len(self.ratio) == 3 and list(self.ratio) == sorted(self.ratio)
        _need("ratio", self.ratio, rising, "three numbers from 0 to 1, rising")
        for width in self.widths:
            whole_number("widths", width, 1, "whole numbers of at least 1")


def names() -> dict[str, Path]:
    """Name and file of every recipe that ships."""
    folder = Path(str(resources.files("unmask.distill") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read(name: str, changes: Mapping[str, str]) -> Recipe:
    """A recipe by name or from a file; ``changes`` are TOML values by field, as ``--set`` has them.

    Raises:
        InputError: there is no such recipe, or a field of it cannot be.
    """
    path = names().get(name) or Path(name)
    if path.suffix != ".toml":
        raise InputError(
            f"{catalogue.unknown('recipe', name, list(names()))}; or give a .toml file"
        )
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (*FAULTS, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from None
    for name_, text in changes.items():
        try:
            changed = tomllib.loads(f"{name_} = {text}")
        except tomllib.TOMLDecodeError:  # a word without quotes
            word = None if text == "none" else text
            table, dot, entry = name_.partition(".")
            changed = {table: {entry: word}} if dot else {name_: word}
        for table, value in changed.items():  # a.b = c changes one entry, a = {...} all of them
            known = given.get(table, {})
            part = "." in name_ and isinstance(known, dict) and isinstance(value, dict)
            given[table] = {**known, **value} if part else value
    return of(given, str(path))


def of(given: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values.

    Raises:
        InputError: a field is missing, unknown or cannot be; the message names it.
    """
    known = {one.name: one for one in fields(Recipe)}
    for name in given:
        if name not in known:
            raise InputError(f"{where}: {catalogue.unknown('field', name, list(known))}")
    try:
        return Recipe(**{name: _shaped(name, value) for name, value in given.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: {reason_of(error)}") from None


def _shaped(name: str, value: Any) -> Any:
    """Lists and tables of TOML as the fields want them."""
    if isinstance(value, list):
        return tuple(value)
    kinds: dict[str, Any] = {"lora": Lora, "reference": Reference, "decode": Decode}
    if name not in kinds or not isinstance(value, Mapping):
        return value
    if name == "decode":  # its own fields and those of decoding stand side by side
        own = {inner: value[inner] for inner in ("preset", "prompts") if inner in value}
        return Decode(**own, settings={n: one for n, one in value.items() if n not in own})
    return kinds[name](**{inner: _shaped(inner, given) for inner, given in value.items()})


def with_compat(recipe: Recipe) -> Recipe:
    """The recipe as its reference would run it.

    Raises:
        InputError: it has what no reference has.
    """
    lora = recipe.lora
    if lora and recipe.reference.targets:
        lora = replace(lora, targets=recipe.reference.targets)
    return replace(recipe, compat="reference", lora=lora)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _choice(what: str, name: str, known: Any) -> None:
    if name not in known:
        raise catalogue.unknown(what, name, list(known))


def _need(name: str, value: object, holds: bool, hint: str) -> None:
    if not holds:
        raise InputError(f"{name}={value!r} is not allowed; give {hint}")
