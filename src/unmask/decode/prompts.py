"""Prompts as users give them -> a canvas to fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unmask.canvas.canvas import Canvas
from unmask.errors import PromptError
from unmask.models.loading import Model, check_ids
from unmask.text.chat import Message
from unmask.text.tokenizer import TextCodec


@dataclass(frozen=True, init=False)
class Infill:
    """An answer with gaps: fixed text (or ids) and numbers of masks, in order.

    ``Infill("In the end Mia has", 1, "apples.", prompt="Mia has 3 apples. ...")``
    """

    parts: tuple[str | int | list[int], ...]
    prompt: str | list[int]

    def __init__(self, *parts: str | int | list[int], prompt: str | list[int] = "") -> None:
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "prompt", prompt)


Prompt = str | list[int] | list[Message] | Infill


def as_list(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """A list of prompts, also from a single one.

    Raises:
        PromptError: there is none.
    """
    if isinstance(prompts, (str, Infill)):
        return [prompts]
    if not isinstance(prompts, (list, tuple)):
        raise PromptError(_not_understood(prompts))
    if not prompts:
        raise PromptError("there is no prompt; give at least one")
    given: list[Any] = list(prompts)
    return [given] if isinstance(given[0], (int, dict)) else given


def _not_understood(prompt: Any) -> str:
    kind = type(prompt).__name__
    return f"a prompt of type {kind} is not understood; give text, chat messages or token ids"


def canvas_of(model: Model, prompt: Prompt, length: int, *, raw: bool) -> Canvas:
    """The canvas of one prompt; ``raw`` leaves the chat template away.

    Raises:
        PromptError: the prompt is empty, malformed or too long, or needs a tokenizer there is not.
    """
    fixed: dict[int, int] = {}
    given: Any = prompt
    if isinstance(prompt, Infill):
        fixed, length = _gaps(model, prompt)
        given = prompt.prompt
    ids = _ids(model, given, raw=raw, allow_empty=isinstance(prompt, Infill))
    card = model.card
    if ids or not fixed or (card.causal and 0 not in fixed):
        check_ids(ids, card)
    if len(ids) + length > card.max_length:
        room = card.max_length - len(ids)
        infill = isinstance(prompt, Infill)
        wanted = f"an infill of {length}" if infill else f"max_new_tokens={length}"
        advice = f"use {'an infill' if infill else 'max_new_tokens'} of at most {room}"
        raise PromptError(
            f"{len(ids)} prompt tokens and {wanted} exceed the {card.max_length} "
            f"that {card.name} takes; {advice if room > 0 else 'shorten the prompt'}"
        )
    return Canvas.start(ids, length, card.mask_id, fixed)


def codec_of(model: Model) -> TextCodec:
    """The tokenizer.

    Raises:
        PromptError: the checkpoint has none.
    """
    if model.codec is None:
        raise PromptError(
            f"{model.card.name} has no tokenizer files, so it takes token ids only; give a list of "
            "ids, or put tokenizer.json (or vocab.json and merges.txt) into its folder"
        )
    return model.codec


def _ids(model: Model, prompt: Any, *, raw: bool, allow_empty: bool) -> list[int]:
    if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], dict)):
        return list(prompt)
    if not isinstance(prompt, (str, list)):
        raise PromptError(_not_understood(prompt))
    if allow_empty and prompt == "" and model.codec is None:
        return []
    codec, most = codec_of(model), model.card.max_length
    if isinstance(prompt, str):
        if not prompt.strip() and not allow_empty:
            raise PromptError("the prompt is empty; give some text or at least one token id")
        if raw or model.template is None:
            return codec.encode(prompt, plain=True, most=most)
        prompt = [{"role": "user", "content": prompt}]
    if model.template is None:
        raise PromptError(
            f"{model.card.name} has no chat template, so it takes plain text or token ids, "
            "no messages"
        )
    return codec.encode(model.template.render(prompt), plain=False, most=most)


def _gaps(model: Model, infill: Infill) -> tuple[dict[int, int], int]:
    """Offsets and ids of the fixed text, and the length of the answer."""
    fixed: dict[int, int] = {}
    length = 0
    for part in infill.parts:
        if isinstance(part, int):
            if isinstance(part, bool) or part < 1:
                raise PromptError(f"a gap of {part} tokens is not allowed; give at least 1")
            length += part
            continue
        ids = _part(model, part)
        fixed.update(enumerate(ids, length))
        length += len(ids)
        if len(fixed) > model.card.max_length:
            raise PromptError(
                f"the text of the infill has more tokens than the {model.card.max_length} that "
                f"{model.card.name} takes; shorten it"
            )
    if not length:
        raise PromptError(
            "the infill has no parts; give text and gaps, say Infill('The answer is', 1)"
        )
    return fixed, length


def _part(model: Model, part: Any) -> list[int]:
    """Ids of fixed text."""
    if not isinstance(part, (str, list)):
        raise PromptError(
            f"infill part {part!r} is not understood; give text, ids or the length of a gap"
        )
    if isinstance(part, str):
        part = codec_of(model).encode(part, plain=False, most=model.card.max_length)
    return check_ids(part, model.card) if part else []
