"""A request becomes rows: whose settings hold, and how long may the answer be?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.decode.generate import prepare
from unmask.decode.policy import RULES
from unmask.decode.prompts import Infill, Prompt, canvas_of
from unmask.decode.settings import in_range, whole_number
from unmask.decode.step import Row
from unmask.server.decoding_fields import DecodingFields
from unmask.server.errors import ApiError, as_api_error
from unmask.server.service import Service

ALWAYS = {"max_new_tokens", "block_length", "temperature", "top_p", "top_k", "seed"}
"""Defaults of the server that hold for a preset of the request's own, too."""
BELONGS = {
    "schedule": {"block_add_threshold", "horizon"},
    "strategy": {*RULES, "steps"},
    "cache": {"delay", "refresh"},
}
"""Whoever names a schedule, strategy or cache does not mean the server's settings for another."""


def merged(
    service: Service, preset: str | None, given: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """Preset and overrides of a request: its own, and the server's where it says nothing."""
    defaults = dict(service.settings.overrides)
    if preset is not None:
        defaults = {name: value for name, value in defaults.items() if name in ALWAYS}
    for part, settings in BELONGS.items():
        if part in given:
            for name in settings:
                defaults.pop(name, None)
    if RULES & given.keys():
        for name in RULES:
            defaults.pop(name, None)
    found = {**defaults, **given}
    if found.get("top_k") in (0, -1):  # vLLM's words for all tokens
        del found["top_k"]
    return preset or service.settings.preset, _greedy(found)


def _greedy(overrides: dict[str, Any]) -> dict[str, Any]:
    """Without top_p and top_k at temperature 0: every nucleus holds the likeliest token, so greedy
    decoding honours them. Clients send them so (lm-eval, for one); `unmask.generate` asks back.

    Raises:
        InputError: one is out of range.
    """
    if overrides.get("temperature", 0) != 0:
        return overrides
    if "top_p" in overrides:
        in_range("top_p", overrides["top_p"], 0, 1, "a number above 0 and up to 1", above=True)
    if "top_k" in overrides:
        whole_number("top_k", overrides["top_k"], 1, "a whole number of at least 1")
    return {name: value for name, value in overrides.items() if name not in ("top_p", "top_k")}


def rows_of(
    service: Service,
    asked: DecodingFields,
    prompt: Prompt,
    *,
    field: str,
    raw: bool,
    count: int = 1,
) -> list[Row]:
    """``count`` rows for one prompt, the i-th with seed + i. ``field``: where the prompt stood.

    Reads and encodes all of the prompt: for a thread that may be busy.

    Raises:
        ApiError: something cannot be; it names the field.
    """
    try:
        return _rows(service, asked, (prompt, field), raw=raw, count=count)
    except Exception as error:
        found = as_api_error(error, field)
        if found.status >= 500:
            raise
        raise found from None


def _rows(
    service: Service, asked: DecodingFields, prompt: tuple[Prompt, str], *, raw: bool, count: int
) -> list[Row]:
    model = service.engine.model
    preset, overrides = merged(service, asked.preset, asked.overrides())
    given, field = prompt
    if not isinstance(given, Infill):
        canvas = canvas_of(model, given, 1, raw=raw)
        given = canvas.tokens_L[: canvas.prompt_length].tolist()
        overrides["max_new_tokens"] = answer_length(service, asked, len(given), field)
    rows = []
    for number in range(count):
        seed = overrides.get("seed")
        own = overrides if seed is None else {**overrides, "seed": seed + number}
        rows += prepare(model, [given], preset, raw=raw, overrides=own)
    return rows


def answer_length(service: Service, asked: DecodingFields, used: int, field: str) -> int:
    """Tokens of the answer: what was asked for, or the default as far as it fits.

    ``used``: positions that are taken already, by the prompt in ``field``.

    Raises:
        ApiError: not even one token fits, or not as many as were asked for.
    """
    most, wanted = service.engine.length, asked.length()
    room = most - used
    if room < 1 or (wanted or 1) > room:
        advice = f"ask for at most {room}" if room > 0 else "shorten the prompt"
        raise ApiError(
            400,
            f"{used} prompt tokens and an answer of {wanted or 1} exceed the {most} that "
            f"{service.settings.name} takes; {advice}",
            param="max_tokens" if room > 0 else field,
            code="context_length_exceeded",
        )
    if wanted is not None:
        return wanted
    defaults = {**service.engine.model.defaults, **service.settings.overrides}
    return min(int(defaults["max_new_tokens"]), room)


def gap_before(
    service: Service, asked: DecodingFields, prompt: str | list[int], suffix: str
) -> Infill:
    """The answer stands between ``prompt`` and ``suffix``.

    Raises:
        ApiError: it does not fit.
    """
    before = before_gap(service, prompt, "prompt", raw=True)
    try:
        one = canvas_of(service.engine.model, Infill(1, suffix, prompt=before), 0, raw=True)
    except Exception as error:
        raise as_api_error(error, "suffix") from error
    length = answer_length(service, asked, len(one) - 1, "prompt")
    return Infill(length, suffix, prompt=before)


def before_gap(service: Service, prompt: Prompt, field: str, *, raw: bool) -> str | list[int]:
    """What stands before a text with gaps: ids, so that what is wrong with the prompt in ``field``
    is not taken for a fault of that text. No prompt at all is fine.

    Raises:
        ApiError: the prompt cannot be.
    """
    if isinstance(prompt, str) and not prompt.strip():
        return prompt
    try:
        canvas = canvas_of(service.engine.model, prompt, 1, raw=raw)
    except Exception as error:
        raise as_api_error(error, field) from error
    ids: list[int] = canvas.tokens_L[: canvas.prompt_length].tolist()
    return ids
