"""A policy: schedule, cache, strategy, sampling and stop rule, from a preset and flat overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from unmask import catalogue
from unmask.decode import options, proposal
from unmask.decode.options import KINDS, Declared, Uses
from unmask.decode.plan import CachePolicy
from unmask.decode.presets import FAVOURITE, OURS, OWN, PRESETS, TUNED
from unmask.decode.proposal import SEED, Sampling
from unmask.decode.settings import COMPAT, EARLY_STOP, Settings
from unmask.decode.slate import Strategy
from unmask.decode.window import Schedule
from unmask.errors import InputError
from unmask.models.denoiser import ModelCard

Values = Mapping[str, Any]
NOTHING: Values = {}


@dataclass(frozen=True)
class Policy:
    """How one row is decoded."""

    schedule: Schedule
    strategy: Strategy
    cache: CachePolicy
    sampling: Sampling
    early_stop: bool
    seed: int | None
    settings: Settings


def default_preset(card: ModelCard) -> str:
    """The preset of a model when none is asked for."""
    if card.span is not None:
        return OWN.get(card.family, "ar")
    return FAVOURITE.get(card.name, "fast-dllm")


def make(
    card: ModelCard,
    preset: str | None,
    overrides: Values,
    defaults: Values,
    base: Values = NOTHING,
) -> Policy:
    """The policy of ``preset`` with flat ``overrides``; ``defaults`` come with the checkpoint.

    ``base`` changes the preset where ``overrides`` say nothing, and as long as they keep the parts
    that it is for.

    Raises:
        InputError: an unknown name, a value out of range, or options that contradict each other.
    """
    usual, parts = default_preset(card), options.declared()
    general = {option.name: option for option in options.EVERYBODY}
    known = {*KINDS, *general}.union(*(uses for own in parts.values() for uses in own.values()))
    preset = usual if preset is None else preset
    if preset not in [*PRESETS]:
        raise catalogue.unknown("preset", preset, sorted(PRESETS))
    for name in (*base, *overrides):
        if name not in known:
            raise catalogue.unknown("option", name, sorted(known))
    given = {name: value for name, value in overrides.items() if value is not None}
    named = {**base, **given}
    values = {**PRESETS[preset], **_tuned(card, preset, named)}
    values = _over(_over(values, base, parts), given, parts)
    if named.get(COMPAT.name) and EARLY_STOP.name not in named:
        values[EARLY_STOP.name] = False  # the references decode to the end of the canvas
    read = [general, *(own[values[kind]] for kind, own in parts.items())]
    values = {**{name: option.default for name, option in general.items()}, **defaults, **values}
    values = _checked(values, given, card, read)
    made = _build(Settings(values, frozenset(given), preset, usual), card)
    if unread := [name for name in given if not any(name in uses for uses in (KINDS, *read))]:
        told = "; ".join(_unread(name, values, parts) for name in unread)
        raise InputError(told, field=unread[0], given=given[unread[0]])
    return made


def _tuned(card: ModelCard, preset: str, named: Values) -> dict[str, Any]:
    """What was measured for this model or family."""
    found: dict[str, Any] = {}
    for whose in (card.family, card.name):
        found |= TUNED.get((preset, whose), {})
    return {n: value for n, value in found.items() if not (named.get(COMPAT.name) and n in OURS)}


def _over(under: Values, given: Values, parts: Declared) -> dict[str, Any]:
    """``given`` above ``under``, of which remains what means the same to the parts that are chosen
    now (a threshold is a probability to one strategy and an entropy to another)."""
    chosen = {kind: _chosen(kind, under[kind], given, own) for kind, own in parts.items()}

    def meaning(name: str, values: Values) -> set[str]:
        read = [own[values[kind]] for kind, own in parts.items()]
        return {uses[name].about for uses in read if name in uses}

    kept = {
        name: value
        for name, value in under.items()
        if not (before := meaning(name, under)) or before & meaning(name, chosen)
    }
    return {**kept, **given, **chosen}


def _chosen(kind: str, own: str, given: Values, parts: Mapping[str, Uses]) -> str:
    """The name of a part: the given one, or one that is meant by an option, or the preset's own."""
    name: str = given.get(kind, own)
    if name not in [*parts]:
        raise catalogue.unknown(kind, name, [*parts])
    asked = sorted(given.keys() & set().union(*parts.values()))
    meant = [
        part
        for part, uses in parts.items()
        if any(uses[one].implies for one in asked if one in uses and one not in parts[name])
    ]
    if kind in given or not meant:
        return name
    if len(meant) > 1 or not parts[meant[0]].keys() >= {*asked}:
        told = f"{' and '.join(asked)} belong to different {KINDS[kind].rpartition('.')[2]}"
        raise InputError(told, field=asked[0], given=given[asked[0]], hint="give one of them")
    return meant[0]


def _checked(
    values: Values, given: Values, card: ModelCard, read: Iterable[Uses]
) -> dict[str, Any]:
    """The values, if all that is ``read`` is in range, with blocks no longer than the model's."""
    found, most = dict(values), None if card.causal else card.span
    for option in (option for uses in read for option in uses.values()):
        value = found.get(option.name)
        if most is not None and option.own_block:
            option = replace(option, high=most)  # noqa: PLW2901
            if value is not None and option.name not in given:
                value = found[option.name] = min(value, most)
        if value is not None:
            option.check(value)
    return found


def _unread(name: str, values: Values, parts: Declared) -> str:
    readers = {
        kind: able
        for kind, own in parts.items()
        if (able := [part for part, uses in own.items() if name in uses])
    }
    chosen = ", and ".join(
        f"{kind}={part!r}, which reads {', '.join(parts[kind][part]) or 'no option'}"
        for kind in readers
        for part in [values[kind]]
    )
    others = " or ".join(f"{kind}={' or '.join(able)}" for kind, able in readers.items())
    return f"{name}={values[name]!r} has no meaning for {chosen}; use {others}, or drop {name}"


def _build(settings: Settings, card: ModelCard) -> Policy:
    """The parts one after the other, for a later one may need to know what an earlier one does."""

    def part(kind: str) -> Any:
        return import_module(f"{KINDS[kind]}.{settings.values[kind]}").build(settings, card)

    schedule: Schedule = part("schedule")
    settings = replace(settings, block=schedule.length or settings.max_new_tokens)
    cache: CachePolicy = part("cache")
    settings = replace(settings, alone=cache.alone)
    return Policy(
        schedule=schedule,
        strategy=part("strategy"),
        cache=cache,
        sampling=proposal.build(settings),
        early_stop=settings[EARLY_STOP],
        seed=settings[SEED],
        settings=settings,
    )
