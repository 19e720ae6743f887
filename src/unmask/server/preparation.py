"""A request becomes rows: whose settings hold, and how long may the answer be?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unmask.decode.generate import prepare
from unmask.decode.prompts import Infill, Prompt, canvas_of
from unmask.decode.proposal import SAMPLING, SEED, TEMPERATURE, TOP_K, TOP_P
from unmask.decode.settings import MAX_NEW_TOKENS
from unmask.decode.step import Row
from unmask.server.decoding_fields import ALL_TOKENS, DecodingFields
from unmask.server.errors import ApiError, as_api_error
from unmask.server.service import Service


def merged(
    service: Service, preset: str | None, given: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """Preset of a request, the server's overrides that hold beside it, and its own overrides.

    At temperature 0 without top_p and top_k: every nucleus holds the likeliest token, so greedy
    decoding honours them. Clients send them so (lm-eval, for one); `unmask.generate` asks back.
    """
    base = dict(service.settings.overrides)
    if preset is not None:  # lengths and sampling have nothing to do with a preset
        held = {*service.engine.model.defaults, *(option.name for option in SAMPLING)}
        base = {name: value for name, value in base.items() if name in held}
    both = {**base, **given}
    dropped = set()
    if both.get(TEMPERATURE.name, 0) == 0:
        dropped = {TOP_P.name, TOP_K.name}
    elif both.get(TOP_K.name) in ALL_TOKENS:
        dropped = {TOP_K.name}
    base, own = ({n: v for n, v in part.items() if n not in dropped} for part in (base, given))
    return preset or service.settings.preset, base, own


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
    preset, base, overrides = merged(service, asked.preset, asked.overrides())
    given, field = prompt
    if not isinstance(given, Infill):
        canvas = canvas_of(model, given, 1, raw=raw)
        given = canvas.tokens_L[: canvas.prompt_length].tolist()
        overrides[MAX_NEW_TOKENS.name] = answer_length(service, asked, len(given), field)
    rows, seed = [], {**base, **overrides}.get(SEED.name)
    for number in range(count):
        own = overrides if seed is None else {**overrides, SEED.name: seed + number}
        rows += prepare(model, [given], preset, raw=raw, overrides=own, base=base)
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
    return min(int(defaults[MAX_NEW_TOKENS.name]), room)


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
