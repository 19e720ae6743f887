"""Chat messages to prompt text, by the checkpoint's own template, rendered in a sandbox."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from unmask.errors import CheckpointError, PromptError
from unmask.text import special

Message = dict[str, str]
ROLES = ("system", "user", "assistant")
FILE, MORE = "chat_template.jinja", "additional_chat_templates"


class Generation(Extension):
    """``{% generation %}`` marks what an assistant said, for training; here it leaves no trace.

    As in transformers, what is set inside is not seen outside.
    """

    tags = {"generation"}  # noqa: RUF012 - as the parent has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block, as a call that gives its own text."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_spoken"), [], [], body).set_lineno(line)

    def _spoken(self, caller: Macro) -> str:
        return caller()


class ChatTemplate:
    """A Jinja template as Hugging Face checkpoints carry it; it can read messages, nothing else.

    ``source``: its text. ``settings``: those of the tokenizer, which name special tokens.
    """

    def __init__(self, source: str, settings: dict[str, Any]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
        )
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        environment.filters["tojson"] = _json
        self._environment, self.source = environment, source
        self._tokens = special.named(settings)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text, ending where the assistant starts to speak.

        Raises:
            PromptError: the template does not take these messages.
        """
        check(messages)
        try:
            return self._template.render(
                messages=[_said(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self._tokens,
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
    """The template of a checkpoint: chat_template.jinja or the entry in tokenizer_config.json. Of
    several the one called "default".

    Raises:
        CheckpointError: it cannot be read, or none of several is the default.
    """
    try:
        found: Any = {path.stem: _text(path) for path in sorted((folder / MORE).glob("*.jinja"))}
        if (folder / FILE).exists():
            found["default"] = _text(folder / FILE)
        if not found:
            found = settings.get("chat_template")
        if isinstance(found, list):
            found = {entry["name"]: entry["template"] for entry in found}
    except (OSError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"the chat template in {folder} cannot be read: {error}") from None
    if isinstance(found, dict):
        if found and "default" not in found:
            raise CheckpointError(
                f"{folder} has the chat templates {', '.join(map(repr, found))}, and none is "
                f"called 'default'; put the one to use into {FILE}"
            )
        found = found.get("default")
    if not isinstance(found, (str, NoneType)):
        raise CheckpointError(f"the chat template in {folder} is no text; repair chat_template")
    return ChatTemplate(found, settings) if found else None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


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


def _said(message: Message) -> Message:
    """As transformers shows it: what is None is not there."""
    return {name: value for name, value in message.items() if value is not None}


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face renders it; Jinja's own would escape for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _now(pattern: str) -> str:
    return datetime.datetime.now().strftime(pattern)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
