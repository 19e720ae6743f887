"""Chat messages to prompt text, by the checkpoint's own template, rendered in a sandbox."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from unmask.errors import CheckpointError, PromptError

Message = dict[str, str]
ROLES = ("system", "user", "assistant")


class ChatTemplate:
    """A Jinja template as Hugging Face checkpoints carry it; it can read messages, nothing else.

    ``source``: its text.
    """

    def __init__(self, source: str, settings: dict[str, Any]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        environment.filters["tojson"] = _json
        self._environment, self.source = environment, source
        names = ("bos_token", "eos_token", "pad_token")
        self._tokens = {name: _content(settings.get(name)) for name in names}

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text, ending where the assistant starts to speak.

        Raises:
            PromptError: the template does not take these messages.
        """
        check(messages)
        try:
            return self._template.render(
                messages=list(messages), add_generation_prompt=True, **self._tokens
            )
        except TemplateSyntaxError as error:
            raise CheckpointError(
                f"the chat template of the checkpoint is broken: {error}; use token ids or raw text"
            ) from None
        except Exception as error:  # foreign code: 1/0 or a huge range is no TemplateError
            raise PromptError(f"the chat template does not take these messages: {error}") from None

    @cached_property
    def _template(self) -> Template:
        # Parsed at the first message, for users of token ids need no template; that takes 1 ms.
        return self._environment.from_string(self.source)


def read(folder: Path, settings: dict[str, Any]) -> ChatTemplate | None:
    """The template of a checkpoint: chat_template.jinja or the entry in tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    try:
        found = path.read_text(encoding="utf-8") if path.exists() else settings.get("chat_template")
        if isinstance(found, list):  # several named templates
            named = {entry["name"]: entry["template"] for entry in found}
            found = named.get("default")
    except (OSError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"the chat template in {folder} cannot be read: {error}") from None
    if not isinstance(found, (str, NoneType)):
        raise CheckpointError(f"the chat template in {folder} is no text; repair chat_template")
    return ChatTemplate(found, settings) if found else None


def check(messages: Sequence[Message]) -> None:
    """Whether every message has a known role and text content.

    Raises:
        PromptError: the first one that has not.
    """
    if not messages:
        hint = "give at least one user message"
        raise PromptError("messages=[] is empty", field="messages", given=messages, hint=hint)
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            where, hint = f"messages[{number}]", f"use one of {', '.join(ROLES)}"
            raise PromptError(f"{where} has no role", field=where, given=message, hint=hint)
        if not isinstance(message.get("content"), str):
            where, given = f"messages[{number}].content", message.get("content")
            raise PromptError(f"{where} is no text", field=where, given=given, hint="give a string")


def _content(token: Any) -> str:
    """Special tokens are plain strings or {"content": ...} in tokenizer_config.json."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _json(value: Any, indent: int | None = None) -> str:
    """As Hugging Face renders it; Jinja's own would escape for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _now(pattern: str) -> str:
    return datetime.datetime.now().strftime(pattern)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
