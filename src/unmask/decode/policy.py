"""A policy: schedule, strategy, cache, sampling and stop rule, from a preset and flat overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import NoneType
from typing import Any

from unmask import catalogue
from unmask.decode.plan import CachePolicy
from unmask.decode.presets import FAVOURITE, OWN, PRESETS, TUNED
from unmask.decode.proposal import Sampling
from unmask.decode.settings import Settings, in_range, whole_number
from unmask.decode.slate import Strategy
from unmask.decode.window import Schedule
from unmask.errors import InputError
from unmask.models.denoiser import ModelCard

SCHEDULES, STRATEGIES, CACHES = (
    f"unmask.decode.{folder}" for folder in ("schedules", "strategies", "caches")
)
NAMES = ("schedule", "strategy", "cache", "compat")
RULES = {"threshold", "factor", "delta"}
"""Settings that belong to certain strategies only."""
IMPLIED = {"factor": "factor", "delta": "frechet", "threshold": "threshold", "steps": "fixed_steps"}
"""The strategy meant by a setting when none is named."""
OVERRIDES = frozenset(field.name for field in fields(Settings)) - {"shifted", "span", "cached"}


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
    card: ModelCard, preset: str | None, overrides: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Policy:
    """The policy of ``preset`` with flat ``overrides``; ``defaults`` come with the checkpoint.

    Raises:
        InputError: an unknown name, a value out of range, or options that contradict each other.
    """
    preset = preset or default_preset(card)
    names = {name: overrides.get(name) for name in NAMES}
    for field, value in {"preset": preset, **names}.items():
        if not isinstance(value, (str, NoneType)):
            raise InputError(f"{field}={value!r} is not allowed; give a name")
    if preset not in PRESETS:
        raise catalogue.unknown("preset", preset, sorted(PRESETS))
    for name in overrides:
        if name not in OVERRIDES:
            raise catalogue.unknown("option", name, sorted(OVERRIDES))
    given = {name: value for name, value in overrides.items() if value is not None}
    values = {**defaults, **PRESETS[preset], **_tuned(card, preset, given), **given}
    values["strategy"] = _strategy_name(values["strategy"], given)
    if given.get("compat") and "early_stop" not in given:
        values["early_stop"] = False  # the references decode to the end of the canvas
    settings = replace(
        Settings(**values),
        shifted=card.logit_shift > 0,
        span=card.span,
        cached=values["cache"] in {"prefix", "dual"},
    )
    _check(settings, card, preset)
    made = _build(_within_span(settings, card, given))
    _check_uses(settings, given)
    return made


def _tuned(card: ModelCard, preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured for this model or family."""
    found: dict[str, Any] = {}
    for whose in (card.family, card.name):
        found |= TUNED.get((preset, whose), {})
    if given.keys() & {"strategy", *RULES}:
        found.pop("threshold", None)  # it is meant for the preset's own strategy
    if given.get("compat"):
        found.pop("horizon", None)  # no reference has one
    return found


def _strategy_name(preset_strategy: str, given: Mapping[str, Any]) -> str:
    rules = sorted(RULES & given.keys())
    if len(rules) > 1:
        raise InputError(f"{' and '.join(rules)} belong to different strategies; give one of them")
    named = given.get("strategy")
    name: str = named or preset_strategy
    module = catalogue.find(STRATEGIES, name, "strategy")
    asked = rules or [field for field in ("steps",) if field in given]
    if named is None and asked and not set(asked) & set(module.USES):
        return IMPLIED[asked[0]]
    if rules and rules[0] not in module.USES:
        uses = ", ".join(module.USES)
        raise InputError(
            f"{rules[0]}={given[rules[0]]!r} has no meaning for strategy={name!r}, "
            f"which takes {uses}; drop one of the two"
        )
    return name


def _check_uses(settings: Settings, given: Mapping[str, Any]) -> None:
    """Whether schedule and cache take the settings that belong to such files."""
    for kind, package in (("schedule", SCHEDULES), ("cache", CACHES)):
        chosen: str = getattr(settings, kind)
        takers = {
            name: catalogue.find(package, name, kind).USES for name in catalogue.names(package)
        }
        for field in sorted({field for uses in takers.values() for field in uses} & given.keys()):
            if field not in takers[chosen]:
                able = " or ".join(name for name, uses in takers.items() if field in uses)
                raise InputError(
                    f"{field}={given[field]!r} has no meaning for {kind}={chosen!r}; "
                    f"use {kind}={able} or drop {field}"
                )


def _check(settings: Settings, card: ModelCard, preset: str) -> None:
    whole_number("max_new_tokens", settings.max_new_tokens, 1, "a whole number of at least 1")
    whole_number("block_length", settings.block_length, 1, "a whole number of at least 1")
    if settings.steps is not None:
        whole_number("steps", settings.steps, 1, "a whole number of at least 1")
    if settings.horizon is not None:
        hint = "a number of blocks, 0 or more; a large one feeds all of them"
        whole_number("horizon", settings.horizon, 0, hint)
    if settings.seed is not None:
        hint = "a whole number from 0 to 2**64 - 1"
        whole_number("seed", settings.seed, 0, hint, high=2**64 - 1)
    if not isinstance(settings.early_stop, bool):
        raise InputError(f"early_stop={settings.early_stop!r} is not allowed; give True or False")
    if settings.compat not in (None, "reference"):
        raise catalogue.unknown("compat", settings.compat, ["reference"])
    _check_sight(settings, card, preset)
    _check_sampling(settings)


def _check_sight(settings: Settings, card: ModelCard, preset: str) -> None:
    """Whether schedule and cache go with how far the model looks."""
    if card.span is None:
        kind, use, fits = "masked", "fast-dllm", settings.cache != "causal"
    elif card.causal:
        kind, use = "causal", "ar"
        fits = (settings.schedule, settings.cache) == ("left_to_right", "causal")
    else:
        kind, use, fits = "block-causal", default_preset(card), settings.cache in {"none", "causal"}
    if not fits:
        raise InputError(
            f"model {card.name!r} is {kind}: preset={preset!r} with schedule={settings.schedule!r} "
            f"and cache={settings.cache!r} does not fit it; use preset={use!r}"
        )
    if card.span is not None and settings.horizon is not None:
        raise InputError(
            f"horizon={settings.horizon} has no meaning for {card.name!r}, which sees nothing "
            "behind its own block; drop it"
        )


def _within_span(settings: Settings, card: ModelCard, given: Mapping[str, Any]) -> Settings:
    """Blocks of the schedule are no longer than the model's."""
    length, span = settings.block_length, card.span
    if span is None or card.causal or length <= span:
        return settings
    if "block_length" in given:
        raise InputError(
            f"block_length={length} is not allowed for {card.name!r}, which attends in blocks of "
            f"{span}; give at most {span}"
        )
    return replace(settings, block_length=span)


def _check_sampling(settings: Settings) -> None:
    in_range("temperature", settings.temperature, 0, 100, "a number from 0 (greedy) to 100")
    if settings.top_p is not None:
        in_range("top_p", settings.top_p, 0, 1, "a number above 0 and up to 1", above=True)
    if settings.top_k is not None:
        whole_number("top_k", settings.top_k, 1, "a whole number of at least 1")
    for field, value in (("top_p", settings.top_p), ("top_k", settings.top_k)):
        if value not in (None, 1.0) and settings.temperature == 0:
            raise InputError(
                f"{field}={value!r} has no meaning at temperature=0 (greedy); "
                f"give a temperature above 0 or drop {field}"
            )


def _build(settings: Settings) -> Policy:
    return Policy(
        schedule=catalogue.find(SCHEDULES, settings.schedule, "schedule").build(settings),
        strategy=catalogue.find(STRATEGIES, settings.strategy, "strategy").build(settings),
        cache=catalogue.find(CACHES, settings.cache, "cache").build(settings),
        sampling=Sampling(settings.temperature, settings.top_p, settings.top_k),
        early_stop=settings.early_stop,
        seed=settings.seed,
        settings=settings,
    )
