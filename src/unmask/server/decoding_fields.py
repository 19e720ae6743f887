"""Which fields do all kinds of request share? The options of `unmask.generate`, and the model.

A value of null is that of the server. Options are looked up when a request comes, so those of a
part that was added at run time count.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.decode.options import Entry, table
from unmask.decode.presets import PRESETS
from unmask.decode.proposal import TOP_K
from unmask.decode.settings import MAX_NEW_TOKENS
from unmask.errors import InputError
from unmask.server.errors import ApiError, as_api_error
from unmask.server.invalid import SHOWN, few, shown
from unmask.server.unsupported import Unsupported, only_known

LENGTHS = ("max_tokens", "max_completion_tokens", MAX_NEW_TOKENS.name)
ALL_TOKENS = (0, -1)
"""What top_k may be besides a number of tokens; vLLM's words."""
TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def _with_options(schema: dict[str, Any]) -> None:
    """Adds the options to the schema of a request."""
    for entry in table().values():
        kinds = [{"type": TYPES[entry.kind]}, {"type": "null"}]
        about = f"{entry.about}. Give {entry.range}."
        schema["properties"][entry.name] = {"anyOf": kinds, "description": about}
    schema["additionalProperties"] = False


class DecodingFields(BaseModel):
    """How an answer is to be written. (A parent, for that is how pydantic shares fields.)"""

    model_config = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, json_schema_extra=_with_options
    )
    unsupported: ClassVar[dict[str, Unsupported]] = {}

    model: str | None = Field(None, description="Name of the model, as /v1/models tells it.")
    max_tokens: int | None = Field(None, ge=1, description="Longest answer, in tokens.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    preset: str | None = Field(None, description=f"{', '.join(PRESETS)}.")
    user: str | None = Field(None, description="Taken and not used.")
    safety_identifier: str | None = Field(None, description="Taken and not used.")
    prompt_cache_key: str | None = Field(None, description="Taken and not used.")
    session_id: str | None = Field(None, description="Taken and not used.")
    metadata: Annotated[dict[str, str], few(16)] | None = Field(
        None, description="Taken and not used."
    )

    @model_validator(mode="before")
    @classmethod
    def _only_what_there_is(cls, given: Any) -> Any:
        fields, options = cls.model_fields, table()
        known = {*fields, *options}
        assert len(known) == len(fields) + len(options), "an option has the name of a field"
        found = only_known(given, known, cls.unsupported)
        for name, value in found.items() if isinstance(found, dict) else ():
            if name not in known:
                raise _unknown(name, known)
            if name not in fields and value is not None:
                _check(options[name], value)
        return found

    def overrides(self) -> dict[str, Any]:
        """The decoding settings that were given, but for the length."""
        given = self.model_extra or {}
        length = MAX_NEW_TOKENS.name
        return {n: value for n, value in given.items() if value is not None and n != length}

    def length(self) -> int | None:
        """The longest answer that was asked for, in tokens.

        Raises:
            ApiError: two names of it say different things.
        """
        found = {name: getattr(self, name, None) for name in LENGTHS}
        given = {name: value for name, value in found.items() if value is not None}
        if len(set(given.values())) > 1:
            names = " and ".join(given)
            raise ApiError(
                400, f"{names} mean the same and differ; give one", param=next(iter(given))
            )
        return next(iter(given.values()), None)


def _check(entry: Entry, value: Any) -> None:
    if entry.name == TOP_K.name and type(value) is int and value in ALL_TOKENS:
        return
    endless = isinstance(value, float) and not math.isfinite(value)
    if endless or isinstance(value, (list, dict)):
        message = f"{entry.name}={shown(value)} is not allowed; give {entry.range}"
        raise ApiError(400, message, param=entry.name)
    try:
        entry.check(value)
    except InputError as error:
        raise as_api_error(error) from None


def _unknown(name: str, known: Collection[str]) -> ApiError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "drop it"
    told = f"{name[:SHOWN]} is unknown; {hint}"
    return ApiError(400, told, param=name[:SHOWN], code="unknown_parameter")
