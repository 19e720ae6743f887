"""Which fields do all three kinds of request share? Those of `unmask.generate`, and the model.

A value of null is that of the server. Ranges and names are checked where they are for everybody, in
`unmask.decode.policy`; here are types only.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.decode.policy import OVERRIDES
from unmask.server.errors import ApiError
from unmask.server.invalid import few
from unmask.server.unsupported import Unsupported, only_known

LENGTHS = ("max_tokens", "max_completion_tokens", "max_new_tokens")


class DecodingFields(BaseModel):
    """How an answer is to be written. (A parent, for that is how pydantic shares fields.)"""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    unsupported: ClassVar[dict[str, Unsupported]] = {}

    model: str | None = Field(None, description="Name of the model, as /v1/models tells it.")
    max_tokens: int | None = Field(None, ge=1, description="Longest answer, in tokens.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    max_new_tokens: int | None = Field(None, ge=1, description="The same as max_tokens.")
    temperature: float | None = Field(None, description="0 (greedy, the default) to 100.")
    top_p: float | None = Field(None, description="Nucleus, above 0 and up to 1.")
    top_k: int | None = Field(None, description="Most likely tokens to draw from; 0 or -1: all.")
    seed: int | None = Field(None, description="Makes a drawn answer repeatable.")
    preset: str | None = Field(None, description="vanilla, fast-dllm, d3llm, ar, ...")
    block_length: int | None = Field(None, description="Positions in a block.")
    schedule: str | None = Field(None, description="Where to write: blocks, pipelined, whole, ...")
    strategy: str | None = Field(None, description="What to believe: threshold, low_entropy, ...")
    cache: str | None = Field(None, description="none, prefix, dual, sliding, delayed or causal.")
    threshold: float | None = Field(None, description="Probability; nats for low_entropy.")
    factor: float | None = Field(None, description="For strategy factor.")
    delta: float | None = Field(None, description="For strategy frechet.")
    steps: int | None = Field(None, description="Forwards of the whole answer, for fixed quotas.")
    early_stop: bool | None = Field(None, description="Stop at an end token before the first mask.")
    compat: str | None = Field(None, description="reference: replay the reference's quirks.")
    block_add_threshold: float | None = Field(
        None, description="Share of a block after which the next one enters (pipelined)."
    )
    delay: int | None = Field(None, description="Forwards that what is finished waits.")
    refresh: int | None = Field(None, description="Feed everything every so many forwards.")
    horizon: int | None = Field(None, description="Feed only so many blocks of masks ahead.")
    user: str | None = Field(None, description="Taken and not used.")
    safety_identifier: str | None = Field(None, description="Taken and not used.")
    prompt_cache_key: str | None = Field(None, description="Taken and not used.")
    session_id: str | None = Field(None, description="Taken and not used.")
    metadata: Annotated[dict[str, str], few(16)] | None = Field(
        None, description="Taken and not used."
    )

    @model_validator(mode="before")
    @classmethod
    def _ask_for_nothing_unsupported(cls, given: Any) -> Any:
        return only_known(given, cls.model_fields, cls.unsupported)

    def overrides(self) -> dict[str, Any]:
        """The decoding settings that were given, but for the length."""
        found = {name: getattr(self, name) for name in OVERRIDES - {"max_new_tokens"}}
        return {name: value for name, value in found.items() if value is not None}

    def length(self) -> int | None:
        """The longest answer that was asked for, in tokens.

        Raises:
            ApiError: two names of it say different things.
        """
        found = {name: getattr(self, name) for name in LENGTHS}
        given = {name: value for name, value in found.items() if value is not None}
        if len(set(given.values())) > 1:
            names = " and ".join(given)
            raise ApiError(
                400, f"{names} mean the same and differ; give one", param=next(iter(given))
            )
        return next(iter(given.values()), None)
