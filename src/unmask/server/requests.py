"""What may be asked: the bodies of the three POST routes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.server.decoding_fields import DecodingFields
from unmask.server.errors import ApiError
from unmask.server.unsupported import CHAT, COMPLETIONS, MESSAGE, Unsupported, without_unsupported

MOST_CHOICES = 32
StopString = Annotated[str, Field(min_length=1)]
Stop = StopString | Annotated[list[StopString], Field(max_length=4)]
Ids = list[int]


class TextPart(BaseModel):
    """A piece of a message's content."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @model_validator(mode="before")
    @classmethod
    def _ask_for_nothing_unsupported(cls, given: Any) -> Any:
        return without_unsupported(given, MESSAGE)

    def plain(self) -> dict[str, str]:
        """As chat templates know it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel):
    """What a stream tells besides text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = Field(None, description="Usage in one more chunk at the end.")
    include_obfuscation: Literal[False] | None = None


class ChatRequest(DecodingFields):
    """The body of /v1/chat/completions."""

    unsupported: ClassVar[dict[str, Unsupported]] = CHAT

    messages: list[ChatMessage] = Field(min_length=1)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES, description="Choices; i has seed + i.")
    stop: Stop | None = Field(None, description="The answer ends before the first of these.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = Field(
        None, description="Tell how sure the model was of each token when it was written."
    )


class CompletionRequest(DecodingFields):
    """The body of /v1/completions."""

    unsupported: ClassVar[dict[str, Unsupported]] = COMPLETIONS

    prompt: str | Ids | Annotated[list[str] | list[Ids], Field(max_length=MOST_CHOICES)]
    suffix: str | None = Field(None, description="Text behind the answer, which fills the gap.")
    n: int | None = Field(None, ge=1, le=MOST_CHOICES, description="Choices; i has seed + i.")
    stop: Stop | None = Field(None, description="The answer ends before the first of these.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: int | None = Field(None, ge=0, le=1, description="As in chat; 0 or 1.")


class CanvasRequest(DecodingFields):
    """The body of /v1/canvas: messages or a prompt, and perhaps an answer with gaps."""

    messages: list[ChatMessage] | None = Field(None, min_length=1)
    prompt: str | None = Field(None, description="Put through the chat template, unless raw.")
    raw: bool | None = Field(None, description="Leave the chat template away.")
    infill: list[str | int] | None = Field(
        None, min_length=1, description="Fixed text and lengths of gaps, in order."
    )


AnswerRequest = ChatRequest | CompletionRequest


def wants_usage(asked: AnswerRequest) -> bool:
    """Whether a stream is to end with the counts.

    Raises:
        ApiError: options of a stream without a stream.
    """
    if asked.stream_options is None:
        return False
    if not asked.stream:
        raise ApiError(
            400,
            "stream_options has no meaning without a stream; give stream=true or drop it",
            param="stream_options",
        )
    return bool(asked.stream_options.include_usage)
