"""How does a body become a request, whatever was sent? Off the event loop, up to its first error.

C code that reads JSON or validates it keeps the interpreter to itself, also in a thread. So what a
body may hold is capped before it is read: a list of 500,000 zeros takes seconds and a gigabyte,
and no request needs it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from email.message import Message
from functools import partial
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from unmask.server.decoding_fields import DecodingFields
from unmask.server.errors import ApiError
from unmask.server.invalid import as_sentence
from unmask.server.service import Service

MOST_CONTAINERS = 2**14
"""Lists and objects of a body. 2,048 messages of two parts each have 8,194."""
MOST_FIELDS = 2**14
"""Fields of all objects of a body. 2,048 messages of two parts each have 12,288."""
MOST_VALUES = 2**16
"""Values of a body, besides one for every position of the model: prompts may be token ids."""
MOST_DIGITS = 100
"""Of a whole number; to read one takes the square of its length."""
PIECES = re.compile(rb'[^"]++|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Strings, and what stands between them."""
MARKS = (b",", b":", b"[", b"{")
Asked = TypeVar("Asked", bound=DecodingFields)


async def read(service: Service, request: Request, kind: type[Asked]) -> Asked:
    """The body of ``request``.

    Raises:
        ApiError: what is wrong with it first, or it means another model.
    """
    content, told = await request.body(), request.headers.get("content-type", "")
    work = partial(parsed, content, told, kind, service.engine.length)
    asked = await asyncio.get_running_loop().run_in_executor(service.reader, work)
    service.check_model(asked.model)
    return asked


def parsed(content: bytes, content_type: str, kind: type[Asked], positions: int) -> Asked:
    """The request that ``content`` is; ``positions``: how long prompt and answer may be.

    Raises:
        ApiError: what is wrong with it first.
    """
    if not _is_json(content_type):
        _refuse("no JSON; send it with Content-Type: application/json", "invalid_body")
    given = _object(content, MOST_VALUES + positions)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise as_sentence(error.errors(include_url=False)) from None


def _is_json(content_type: str) -> bool:
    told = Message()
    told["content-type"] = content_type
    subtype = told.get_content_subtype()
    return told.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )


def _object(content: bytes, values: int) -> dict[str, Any]:
    """The JSON object that a body holds."""
    _check_size(content, values)
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_int=_whole)
    except json.JSONDecodeError as error:
        _refuse(f"no JSON: {error.msg} at character {error.pos}", "invalid_json")
    except UnicodeDecodeError:
        _refuse("no JSON: it is not in UTF-8", "invalid_json")
    except RecursionError:
        _refuse("no JSON of ours: its lists and objects are nested too deeply", "invalid_json")
    if not isinstance(found, dict):
        _refuse("no JSON object; send one", "invalid_body")
    return found


def _check_size(content: bytes, values: int) -> None:
    """Whether few enough values, fields and containers are in the body.

    A text may be full of commas and brackets; if there are many, those outside of strings count.
    """
    if not _too_many(Counter({mark: content.count(mark) for mark in MARKS}), values):
        return
    found: Counter[bytes] = Counter()
    for piece in PIECES.finditer(content):
        text = piece[0]
        if text.startswith(b'"'):
            continue
        for mark in MARKS:
            found[mark] += text.count(mark)
        if _too_many(found, values):
            raise ApiError(
                400, f"the body holds more than {values} values, {MOST_FIELDS} fields or "
                f"{MOST_CONTAINERS} lists and objects, and no request needs as many; send less, "
                "or several requests", code="body_too_large",
            )  # fmt: skip


def _too_many(found: Counter[bytes], values: int) -> bool:
    return (
        found[b","] > values
        or found[b":"] > MOST_FIELDS
        or found[b"["] + found[b"{"] > MOST_CONTAINERS
    )


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        _refuse(f"not allowed: a number in it has over {MOST_DIGITS} digits", "invalid_body")
    return int(digits)


def _refuse(what: str, code: str) -> NoReturn:
    raise ApiError(400, f"the body is {what}", code=code)
