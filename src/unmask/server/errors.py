"""How does a client hear what went wrong? In OpenAI's shape, with a status that fits.

{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from unmask.engine.ticket import Outcome
from unmask.errors import BusyError, ClosingError, InputError, PromptError

TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
    504: "timeout_error",
}
CODES = {
    429: "queue_full",
    500: "internal_error",
    503: "closing",
    504: "timeout",
}
INTERNAL = "the server failed at this request; its log says why"


class ApiError(Exception):
    """An answer that is an error. ``param``: the field that is to blame. ``counted``: the metrics
    know of it already, from the engine."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.headers = status, param, dict(headers or {})
        self.code = code or CODES.get(status)
        self.counted = False

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "error": {
                "message": str(self),
                "type": TYPES.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """The whole answer."""
        return json_response(self.body(), self.status, self.headers)


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """``body`` in ASCII: a message may quote half a character, which UTF-8 cannot hold."""
    return Response(
        json.dumps(body, allow_nan=False), status, headers, media_type="application/json"
    )


def as_api_error(error: Exception, prompt_field: str | None = None) -> ApiError:
    """What ``error`` is to a client; ``prompt_field`` is to blame for a bad prompt."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, BusyError):
        seconds = str(math.ceil(error.retry_after))
        return ApiError(429, str(error), headers={"Retry-After": seconds})
    if isinstance(error, ClosingError):
        return ApiError(503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, InputError):
        param = prompt_field if isinstance(error, PromptError) else None
        return ApiError(400, str(error), param=error.field or param)
    return ApiError(500, INTERNAL)


def failure_of(outcome: Outcome, time_limit: float) -> ApiError | None:
    """What kept an answer from being finished; None if nothing did."""
    if outcome.reason in ("done", "enough"):
        return None
    error = _failure(outcome, time_limit)
    error.counted = True
    return error


def _failure(outcome: Outcome, time_limit: float) -> ApiError:
    if outcome.reason == "late":
        return ApiError(
            504,
            f"the answer was not done within {time_limit:g} s, the limit of this server; "
            "ask for fewer tokens or try again later",
        )
    if outcome.reason == "closing":
        return as_api_error(ClosingError("the server closed before the answer was done"))
    if outcome.reason == "cancelled":
        return ApiError(499, "the request was cancelled", code="cancelled")
    return ApiError(500, INTERNAL)
