"""Which fields of OpenAI's API, and of vLLM's, have no meaning here, and why?

Such a field may be sent with a value that asks for nothing, for clients send these unasked.
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

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from unmask.server.errors import ApiError
from unmask.server.invalid import shown


class Unsupported(NamedTuple):
    """A field, the values besides null that ask for nothing, and why others are refused."""

    neutral: tuple[Any, ...]
    reason: str


TOOLS = "the models here were not trained to call tools"
PENALTY = "tokens are written in any order, so what repeats is not known when one is chosen"
GRAMMAR = (
    "a grammar needs a finished prefix, and a diffusion model writes in any order; "
    "check the answer yourself"
)
TEMPLATE = "prompts are written by the template of the checkpoint"
NO_PLACE = "chat templates have no place for it"
TEXT_ONLY = "there is text only"
ONE_TOKEN = "only the probability of the token that was written is kept"
IDS = "answers are told as text"
CACHE = "nothing is cached from one request to the next"
OTHER_SERVER = "it is for the insides of another server"
NO_BIAS = object()
"""In place of a neutral value: an object whose values are all 0."""

COMMON: dict[str, Unsupported] = {
    "presence_penalty": Unsupported((0,), PENALTY),
    "frequency_penalty": Unsupported((0,), PENALTY),
    "repetition_penalty": Unsupported((1,), PENALTY),
    "repetition_detection": Unsupported((), PENALTY),
    "logit_bias": Unsupported((NO_BIAS,), "biases on single tokens are not built"),
    "allowed_token_ids": Unsupported((), "biases on single tokens are not built"),
    "bad_words": Unsupported(([],), "biases on single tokens are not built"),
    "logits_processors": Unsupported(([],), "biases on single tokens are not built"),
    "min_p": Unsupported((0,), "top_p and top_k are there; give one of them"),
    "use_beam_search": Unsupported((False,), "there is no beam; give n and choose"),
    "length_penalty": Unsupported((1,), "there is no beam; give n and choose"),
    "best_of": Unsupported((1,), "choices are not ranked; give n and choose"),
    "stop_token_ids": Unsupported(([],), "give the text of the tokens as stop"),
    "include_stop_str_in_output": Unsupported((False,), "append the stop string yourself"),
    "skip_special_tokens": Unsupported((True,), "special tokens are not told as text"),
    "spaces_between_special_tokens": Unsupported(
        (True, False), "special tokens are not told as text"
    ),
    "truncate_prompt_tokens": Unsupported((), "prompts are not cut; cut it yourself"),
    "truncation_side": Unsupported((), "prompts are not cut; cut it yourself"),
    "prompt_logprobs": Unsupported((), "the prompt is not scored"),
    "logprob_token_ids": Unsupported((), ONE_TOKEN),
    "return_tokens_as_token_ids": Unsupported((False,), IDS),
    "return_token_ids": Unsupported((False,), IDS),
    "return_token_offsets": Unsupported((False,), IDS),
    "return_mm_kwargs": Unsupported((True,), TEXT_ONLY),
    "response_format": Unsupported(({"type": "text"},), GRAMMAR),
    "structured_outputs": Unsupported((), GRAMMAR),
    "structural_tag": Unsupported((), GRAMMAR),
    "guided_json": Unsupported((), GRAMMAR),
    "guided_regex": Unsupported((), GRAMMAR),
    "guided_choice": Unsupported((), GRAMMAR),
    "guided_grammar": Unsupported((), GRAMMAR),
    "guided_decoding_backend": Unsupported((), GRAMMAR),
    "guided_whitespace_pattern": Unsupported((), GRAMMAR),
    "thinking_token_budget": Unsupported((-1,), "the models here do not think first"),
    "watermarking": Unsupported((False,), "answers carry no watermark"),
    "priority": Unsupported((0,), "first come, first served"),
    "stream_interval": Unsupported((1,), "text is sent as soon as it can no longer change"),
    "request_id": Unsupported((), "answers have ids of their own"),
    "cache_salt": Unsupported((), CACHE),
    "routed_experts_prompt_start": Unsupported((0,), OTHER_SERVER),
    "kv_transfer_params": Unsupported(({},), OTHER_SERVER),
    "ec_transfer_params": Unsupported(({},), OTHER_SERVER),
    "vllm_xargs": Unsupported(({},), OTHER_SERVER),
}
CHAT: dict[str, Unsupported] = {
    **COMMON,
    "tools": Unsupported(([],), TOOLS),
    "tool_choice": Unsupported(("none", "auto"), TOOLS),
    "parallel_tool_calls": Unsupported((True,), TOOLS),
    "functions": Unsupported(([],), TOOLS),
    "function_call": Unsupported(("none", "auto"), TOOLS),
    "top_logprobs": Unsupported((0,), f"{ONE_TOKEN}; give 0"),
    "service_tier": Unsupported(("auto", "default"), "there is one tier"),
    "store": Unsupported((False,), "answers are not kept"),
    "moderation": Unsupported((), "nothing is moderated"),
    "modalities": Unsupported((["text"],), TEXT_ONLY),
    "audio": Unsupported((), TEXT_ONLY),
    "prediction": Unsupported((), "give the known text as infill to /v1/canvas"),
    "prompt_cache_options": Unsupported(({}, {"mode": "implicit"}), CACHE),
    "prompt_cache_retention": Unsupported(("in_memory", "in-memory"), CACHE),
    "reasoning_effort": Unsupported(("none",), "the models here do not think first"),
    "include_reasoning": Unsupported((True, False), "the models here do not think first"),
    "verbosity": Unsupported(("medium",), "say in the prompt how long the answer should be"),
    "web_search_options": Unsupported((), "nothing is searched"),
    "echo": Unsupported((False,), "put the last message before the answer yourself"),
    "add_generation_prompt": Unsupported((True,), TEMPLATE),
    "continue_final_message": Unsupported((False,), "give the beginning as infill to /v1/canvas"),
    "add_special_tokens": Unsupported((False,), TEMPLATE),
    "documents": Unsupported(([],), TEMPLATE),
    "chat_template": Unsupported((), TEMPLATE),
    "chat_template_kwargs": Unsupported(({},), TEMPLATE),
    "return_prompt_text": Unsupported((False,), TEMPLATE),
    "media_io_kwargs": Unsupported(({},), TEXT_ONLY),
    "mm_processor_kwargs": Unsupported(({},), TEXT_ONLY),
}
COMPLETIONS: dict[str, Unsupported] = {
    **COMMON,
    "echo": Unsupported((False,), "the prompt is not scored; put it before the text yourself"),
    "add_special_tokens": Unsupported((True,), "give the prompt as token ids"),
    "chat_template_kwargs": Unsupported(({},), "a text goes through no template"),
    "prompt_embeds": Unsupported((), "give the prompt as text or token ids"),
}
MESSAGE: dict[str, Unsupported] = {
    "refusal": Unsupported(("",), NO_PLACE),
    "annotations": Unsupported(([],), NO_PLACE),
    "reasoning": Unsupported(("",), NO_PLACE),
    "reasoning_content": Unsupported(("",), NO_PLACE),
    "provider_specific_fields": Unsupported(({},), NO_PLACE),
    "audio": Unsupported((), TEXT_ONLY),
    "function_call": Unsupported((), TOOLS),
    "tool_calls": Unsupported(([],), TOOLS),
    "tool_call_id": Unsupported((), TOOLS),
}


def only_known(
    given: Any, known: Container[str], table: Mapping[str, Unsupported] | None = None
) -> Any:
    """``given`` without the fields of ``table``, all of which ask for nothing, and with at most one
    that is not ``known``: the first of these is error enough.

    Raises:
        ApiError: a field of ``table`` asks for something.
    """
    if not isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    all_known = True
    for name, value in given.items():
        if table and name in table:
            _check_neutral(name, value, table[name])
        elif name in known or all_known:
            found[name] = value
            all_known = all_known and name in known
    return found


def _check_neutral(name: str, value: Any, unsupported: Unsupported) -> None:
    if value is None or any(_same(value, neutral) for neutral in unsupported.neutral):
        return
    raise ApiError(
        400,
        f"{name}={shown(value)} is not supported: {unsupported.reason}; drop {name}",
        param=name,
        code="unsupported_parameter",
    )


def _same(given: Any, neutral: Any) -> bool:
    """Equal, and no truth value in place of a number."""
    if neutral is NO_BIAS:
        return isinstance(given, dict) and all(_same(bias, 0) for bias in given.values())
    return isinstance(given, bool) == isinstance(neutral, bool) and bool(given == neutral)
