"""What does a request look like, and what an answer? The examples of the OpenAPI pages."""

from __future__ import annotations

from typing import Any

QUESTION = "Mia has 12 apples. She buys 7 apples. How many apples does Mia have now?"
USER = [{"role": "user", "content": QUESTION}]
TEXT = "Mia starts with 12 apples. So 12 + 7 = 19. The answer is 19."
USAGE = {
    "prompt_tokens": 31, "completion_tokens": 41, "total_tokens": 72,
    "forwards": 9, "tokens_per_forward": 4.556, "fed_positions": 402, "cached_positions": 741,
}  # fmt: skip
CHAT: dict[str, Any] = {
    "plain": {"summary": "A question", "value": {"model": "tiny-fast", "messages": USER}},
    "stream": {
        "summary": "A stream with usage",
        "value": {
            "model": "tiny-fast", "messages": USER, "stream": True,
            "stream_options": {"include_usage": True},
        },
    },
    "preset": {
        "summary": "Another preset and threshold",
        "value": {
            "model": "tiny-fast", "messages": USER, "preset": "fast-dllm", "threshold": 0.8,
        },
    },
}  # fmt: skip
COMPLETIONS: dict[str, Any] = {
    "plain": {
        "summary": "Going on with a text",
        "value": {"model": "tiny-fast", "prompt": "Once upon a time", "max_tokens": 32},
    },
    "suffix": {
        "summary": "Filling a gap",
        "value": {
            "model": "tiny-fast", "prompt": "Mia has 12 apples. So", "suffix": " = 19.",
            "max_tokens": 4,
        },
    },
}  # fmt: skip
CANVAS: dict[str, Any] = {
    "plain": {"summary": "Watch an answer unmask", "value": {"prompt": QUESTION}},
    "infill": {
        "summary": "Fixed text and gaps",
        "value": {"prompt": QUESTION, "infill": ["So 12 + 7 =", 1, ". The answer is", 1, "."]},
    },
}
CHAT_ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "tiny-fast",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}  # fmt: skip
COMPLETION_ANSWER = {
    "id": "cmpl-1", "object": "text_completion", "created": 0, "model": "tiny-fast",
    "choices": [{"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
}  # fmt: skip
EVENTS = (
    'event: start\ndata: {"id": "canvas-1", "model": "tiny-fast", "preset": "d3llm", ...}\n\n'
    'event: commit\ndata: {"step": 1, "tokens": [{"at": 0, "text": "Mia", "confidence": 0.99}]}\n\n'
    'event: done\ndata: {"text": "Mia ...", "finish_reason": "stop", "usage": {...}}\n\n'
)


def answers(about: str, example: Any, kind: str = "application/json") -> dict[int | str, Any]:
    """The documented responses of a route: its own, and errors."""
    return {
        200: {"description": about, "content": {kind: {"example": example}}},
        "default": {
            "description": "An error, in OpenAI's shape.",
            "content": {"application/json": {"example": ERROR}},
        },
    }


def body(name: str, examples: dict[str, Any]) -> dict[str, Any]:
    """The documented body of a route, a schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"content": content, "required": True}}


ERROR = {
    "error": {
        "message": "temperature=-1 is not allowed; give a number from 0 (greedy) to 100",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": None,
    }
}
