"""What may be asked: the bodies of the three POST routes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from unmask.decode.settings import EARLY_STOP, LARGEST
from unmask.server.decoding_fields import DecodingFields
from unmask.server.errors import ApiError
from unmask.server.invalid import few
from unmask.server.unsupported import CHAT, COMPLETIONS, MESSAGE, Unsupported, only_known

MOST_CHOICES = 32
MOST_TURNS = 2048
"""Messages of a conversation, parts of a message, parts of an infill. OpenAI's own limit."""
LONGEST_STOP = 1024
"""Characters of a stop string; every end of a text is compared with every beginning of it."""


def _kind(given: Any) -> str | None:
    """Which of its types a value is meant to be; of a list, its first entry tells."""
    if not isinstance(given, list):
        return "str" if isinstance(given, str) else None
    first = given[0] if given else ""
    if isinstance(first, list):
        return "list[list]"
    return "list[str]" if isinstance(first, (str, dict)) else "list[int]"


def _told_by(what: str) -> Discriminator:
    return Discriminator(_kind, custom_error_type="kind", custom_error_message=f"give {what}")


StopString = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Stop = Annotated[
    Annotated[StopString, Tag("str")] | Annotated[list[StopString], few(4), Tag("list[str]")],
    _told_by("text or a list of texts"),
]
Ids = Annotated[list[int], Field(fail_fast=True)]
Prompts = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[Ids, Tag("list[int]")]
    | Annotated[list[str], Field(fail_fast=True), few(MOST_CHOICES), Tag("list[str]")]
    | Annotated[list[Ids], Field(fail_fast=True), few(MOST_CHOICES), Tag("list[list]")],
    _told_by("text, token ids, or a list of either"),
]
Gap = Annotated[int, Field(ge=1, le=LARGEST)]
Infill = Annotated[list[str | Gap], Field(min_length=1, fail_fast=True), few(MOST_TURNS)]


class TextPart(BaseModel):
    """A piece of a message's content."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text"]
    text: str
    cache_control: dict[str, Any] | None = Field(None, description="Taken and not used.")
    prompt_cache_breakpoint: dict[str, Any] | None = Field(None, description="Taken and not used.")

    @model_validator(mode="before")
    @classmethod
    def _stop_at_what_is_unknown(cls, given: Any) -> Any:
        return only_known(given, cls.model_fields)


Content = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[TextPart], Field(fail_fast=True), few(MOST_TURNS), Tag("list[str]")],
    _told_by("text or a list of text parts"),
]


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = Field(None, description="Given to the chat template, if that has a use.")
    cache_control: dict[str, Any] | None = Field(None, description="Taken and not used.")

    @model_validator(mode="before")
    @classmethod
    def _ask_for_nothing_unsupported(cls, given: Any) -> Any:
        return only_known(given, cls.model_fields, MESSAGE)

    def plain(self) -> dict[str, str]:
        """As chat templates know it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        named = {} if self.name is None else {"name": self.name}
        return {"role": role, "content": text, **named}


Messages = Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True), few(MOST_TURNS)]


class StreamOptions(BaseModel):
    """What a stream tells besides text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = Field(None, description="Usage in one more chunk at the end.")
    continuous_usage_stats: bool | None = Field(
        None, description="Usage so far in every chunk, too; with include_usage."
    )
    include_obfuscation: Literal[False] | None = None

    @model_validator(mode="before")
    @classmethod
    def _stop_at_what_is_unknown(cls, given: Any) -> Any:
        return only_known(given, cls.model_fields)


class AnswerFields(DecodingFields):
    """What chat and completions share."""

    n: int | None = Field(None, ge=1, le=MOST_CHOICES, description="Choices; i has seed + i.")
    stop: Stop | None = Field(None, description="The answer ends before the first of these.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    min_tokens: int | None = Field(
        None, ge=0, le=LARGEST, description="No end token and no stop string before so many tokens."
    )
    ignore_eos: bool | None = Field(
        None, description="End tokens end nothing: the answer has all of max_tokens."
    )

    def overrides(self) -> dict[str, Any]:
        """The decoding settings that were given or follow, but for the length.

        Raises:
            ApiError: two of them contradict each other.
        """
        found = super().overrides()
        if not self.ignore_eos:
            return found
        if found.get(EARLY_STOP.name):
            raise ApiError(
                400, "ignore_eos and early_stop contradict each other; give one", param="ignore_eos"
            )
        return {**found, EARLY_STOP.name: False}

    def stops(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class ChatRequest(AnswerFields):
    """The body of /v1/chat/completions."""

    unsupported: ClassVar[dict[str, Unsupported]] = CHAT

    messages: Messages
    logprobs: bool | None = Field(
        None, description="Tell how sure the model was of each token when it was written."
    )


class CompletionRequest(AnswerFields):
    """The body of /v1/completions."""

    unsupported: ClassVar[dict[str, Unsupported]] = COMPLETIONS

    prompt: Prompts
    suffix: str | None = Field(None, description="Text behind the answer, which fills the gap.")
    logprobs: int | None = Field(
        None, ge=0, le=1, description="As in chat; 1 tells every token as the likeliest, too."
    )


class CanvasRequest(DecodingFields):
    """The body of /v1/canvas: messages or a prompt, and perhaps an answer with gaps."""

    messages: Messages | None = None
    prompt: str | None = Field(None, description="Put through the chat template, unless raw.")
    raw: bool | None = Field(None, description="Leave the chat template away.")
    infill: Infill | None = Field(None, description="Fixed text and lengths of gaps, in order.")


AnswerRequest = ChatRequest | CompletionRequest


class Told(NamedTuple):
    """When a stream tells the counts: in a chunk of their own at the ``end``, in ``every`` one."""

    end: bool = False
    every: bool = False


def usage_wanted(asked: AnswerRequest) -> Told:
    """When a stream is to tell the counts.

    Raises:
        ApiError: options that say something without a stream, or without another one.
    """
    options = asked.stream_options
    if options is None or not (options.include_usage or options.continuous_usage_stats):
        return Told()
    if not asked.stream:
        raise ApiError(
            400,
            "stream_options has no meaning without a stream; give stream=true or drop it",
            param="stream_options",
        )
    if not options.include_usage:
        raise ApiError(
            400,
            "continuous_usage_stats has no meaning without include_usage; give include_usage=true",
            param="stream_options.continuous_usage_stats",
        )
    return Told(end=True, every=bool(options.continuous_usage_stats))
