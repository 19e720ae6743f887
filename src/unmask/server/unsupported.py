"""Which fields of OpenAI's API have no meaning here, and why?

Such a field may be sent with the value that asks for nothing, for clients send these unasked.
Anything else is an error: a client must not believe that it got what it asked for.

Why there is no ``response_format`` with a schema or grammar: constrained decoding forbids, at every
token, what cannot follow the text so far. A diffusion model has no text so far. It writes tokens to
the right of masks, so the question becomes whether any filling of the holes obeys the grammar, and
that for all tokens together that one forward accepts. Libraries (llguidance, xgrammar,
outlines-core) keep the state of a parser behind a prefix and cannot answer it. To force them onto
the finished left part only would let the tokens further right, already written, break the grammar.
Better none than one that holds sometimes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from unmask.server.errors import ApiError


class Unsupported(NamedTuple):
    """A field, the values that ask for nothing, and why others are refused."""

    neutral: tuple[Any, ...]
    reason: str


TOOLS = "the models here were not trained to call tools"
PENALTY = "tokens are written in any order, so what repeats is not known when one is chosen"
CHAT: dict[str, Unsupported] = {
    "presence_penalty": Unsupported((None, 0), PENALTY),
    "frequency_penalty": Unsupported((None, 0), PENALTY),
    "logit_bias": Unsupported((None, {}), "biases on single tokens are not built"),
    "tools": Unsupported((None, []), TOOLS),
    "tool_choice": Unsupported((None, "none", "auto"), TOOLS),
    "parallel_tool_calls": Unsupported((None, True), TOOLS),
    "functions": Unsupported((None, []), TOOLS),
    "function_call": Unsupported((None, "none", "auto"), TOOLS),
    "response_format": Unsupported(
        (None, {"type": "text"}),
        "a grammar needs a finished prefix, and a diffusion model writes in any order; "
        'give {"type": "text"} and check the answer yourself',
    ),
    "top_logprobs": Unsupported(
        (None, 0), "only the probability of the token that was written is kept; give 0"
    ),
    "service_tier": Unsupported((None, "auto", "default"), "there is one tier"),
    "store": Unsupported((None, False), "answers are not kept"),
    "modalities": Unsupported((None, ["text"]), "there is text only"),
    "audio": Unsupported((None,), "there is text only"),
    "prediction": Unsupported((None,), "give the known text as infill to /v1/canvas"),
    "reasoning_effort": Unsupported((None, "none"), "the models here do not think first"),
    "verbosity": Unsupported((None, "medium"), "say in the prompt how long the answer should be"),
    "web_search_options": Unsupported((None,), "nothing is searched"),
}  # fmt: skip
COMPLETIONS: dict[str, Unsupported] = {
    "presence_penalty": CHAT["presence_penalty"],
    "frequency_penalty": CHAT["frequency_penalty"],
    "logit_bias": CHAT["logit_bias"],
    "best_of": Unsupported((None, 1), "choices are not ranked; ask for n and choose"),
    "echo": Unsupported((None, False), "the prompt is not scored; put it before the text yourself"),
}
MESSAGE: dict[str, Unsupported] = {
    "name": Unsupported((None,), "chat templates have no place for it"),
    "refusal": Unsupported((None,), "chat templates have no place for it"),
    "annotations": Unsupported((None, []), "chat templates have no place for it"),
    "audio": Unsupported((None,), "there is text only"),
    "function_call": Unsupported((None,), TOOLS),
    "tool_calls": Unsupported((None, []), TOOLS),
}
SHOWN = 40


def without_unsupported(given: Any, table: dict[str, Unsupported]) -> Any:
    """``given`` without the fields of ``table``, all of which ask for nothing.

    Raises:
        ApiError: one of them asks for something.
    """
    if not isinstance(given, dict):
        return given
    for name in given.keys() & table.keys():
        if not any(_same(given[name], neutral) for neutral in table[name].neutral):
            shown = repr(given[name])
            shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
            raise ApiError(
                400,
                f"{name}={shown} is not supported: {table[name].reason}; drop {name}",
                param=name,
                code="unsupported_parameter",
            )
    return {name: value for name, value in given.items() if name not in table}


def _same(given: Any, neutral: Any) -> bool:
    """Equal, and no truth value in place of a number."""
    return isinstance(given, bool) == isinstance(neutral, bool) and bool(given == neutral)
