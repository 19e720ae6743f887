"""A policy: schedule, cache, strategy, sampling and stop rule, from a preset and flat overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from unmask import catalogue
from unmask.decode import options, proposal
from unmask.decode.options import KINDS, Declared
from unmask.decode.plan import CachePolicy
from unmask.decode.presets import FAVOURITE, OURS, OWN, PRESETS, TUNED
from unmask.decode.proposal import SEED, Sampling
from unmask.decode.settings import COMPAT, EARLY_STOP, Option, Settings
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
    usual = default_preset(card)
    preset, table = usual if preset is None else preset, options.table()
    if not isinstance(preset, str) or preset not in PRESETS:
        raise _no_name("preset", preset, sorted(PRESETS))
    for name in (*base, *overrides):
        if name not in table:
            raise _no_option(name, sorted(table))
    given = {name: value for name, value in overrides.items() if value is not None}
    parts, named = options.declared(), {**base, **given}
    values = {**PRESETS[preset], **_tuned(card, preset, named)}
    values = _over(_over(values, base, parts), given, parts)
    if named.get(COMPAT.name) and EARLY_STOP.name not in named:
        values[EARLY_STOP.name] = False  # the references decode to the end of the canvas
    used = [option for kind, own in parts.items() for option in own[values[kind]]]
    used = [*options.EVERYBODY, *used]
    plain = {option.name: option.default for option in options.EVERYBODY}
    settings = Settings({**plain, **defaults, **values}, frozenset(given), preset, usual)
    made = _build(_checked(settings, used, card), card)
    _refuse_unread(values, given, parts, {*KINDS, *(option.name for option in used)})
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
    chosen = {kind: _chosen(kind, under[kind], given, parts[kind]) for kind in KINDS}

    def meanings(values: Values) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for kind, own in parts.items():
            for option in own[values[kind]]:
                found.setdefault(option.name, set()).add(option.about)
        return found

    before, now = meanings(under), meanings(chosen)
    kept = {
        name: value
        for name, value in under.items()
        if name not in before or not before[name].isdisjoint(now.get(name, ()))
    }
    return {**kept, **given, **chosen}


def _chosen(
    kind: str, own: str, given: Values, parts: Mapping[str, tuple[Option[Any], ...]]
) -> str:
    """The name of a part: the given one, or one that is meant by an option, or the preset's own."""
    name = given.get(kind, own)
    if not isinstance(name, str) or name not in parts:
        raise _no_name(kind, name, sorted(parts))
    options_of = {part: {option.name for option in uses} for part, uses in parts.items()}
    asked = sorted(given.keys() & {name for names in options_of.values() for name in names})
    meant = {
        part
        for part, uses in parts.items()
        for option in uses
        if option.implies and option.name in asked and option.name not in options_of[name]
    }
    if kind in given or not meant:
        return name
    first, *others = meant
    if others or not options_of[first].issuperset(asked):
        plural = KINDS[kind].rpartition(".")[2]
        message = f"{' and '.join(asked)} belong to different {plural}"
        raise InputError(message, field=asked[0], given=given[asked[0]], hint="give one of them")
    return first


def _refuse_unread(values: Values, given: Values, parts: Declared, read: set[str]) -> None:
    """Whether all that was ``given`` is ``read``.

    Raises:
        InputError: something is not.
    """
    if unread := [name for name in given if name not in read]:
        message = "; ".join(_unread(name, values, parts) for name in unread)
        raise InputError(message, field=unread[0], given=given[unread[0]])


def _unread(name: str, values: Values, parts: Declared) -> str:
    def reads(kind: str, part: str) -> list[str]:
        return [option.name for option in parts[kind][part]]

    readers = {kind: [part for part in parts[kind] if name in reads(kind, part)] for kind in KINDS}
    chosen, others = [], []
    for kind, able in readers.items():
        if able:
            own = ", ".join(reads(kind, values[kind])) or "no option"
            chosen.append(f"{kind}={values[kind]!r}, which reads {own}")
            others.append(f"{kind}={' or '.join(able)}")
    told = f"{name}={values[name]!r} has no meaning for {', and '.join(chosen)}"
    return f"{told}; use {' or '.join(others)}, or drop {name}"


def _checked(settings: Settings, used: list[Option[Any]], card: ModelCard) -> Settings:
    """The settings, all in range, and blocks no longer than the model's."""
    values, most = dict(settings.values), None if card.causal else card.span
    for option in used:
        value = values.get(option.name)
        if value is None:
            continue
        option.check(value)
        if option.own_block and most is not None and value > most:
            if option.name in settings.given:
                raise InputError(
                    f"{option.name}={value} is not allowed for {card.name!r}, which attends in "
                    f"blocks of {most}",
                    field=option.name,
                    given=value,
                    hint=f"give at most {most}",
                )
            values[option.name] = most
    return replace(settings, values=values)


def _build(settings: Settings, card: ModelCard) -> Policy:
    """The parts one after the other, for a later one may need to know what an earlier one does."""

    def part(kind: str) -> Any:
        module = catalogue.find(KINDS[kind], settings.values[kind], kind)
        return module.build(settings, card)

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


def _no_name(field: str, given: object, known: list[str]) -> InputError:
    if isinstance(given, str):
        return catalogue.unknown(field, given, known)
    return InputError(
        f"{field}={given!r} is not allowed", field=field, given=given, hint="give a name"
    )


def _no_option(name: str, known: list[str]) -> InputError:
    error = catalogue.unknown("option", name, known)
    error.field = name
    return error
