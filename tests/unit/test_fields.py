"""What clients send besides a prompt: what asks for nothing, and what vLLM's clients ask for."""

import json

import pytest
from fastapi.testclient import TestClient

import unmask
from serving import QUESTION
from unmask.engine.engine import Engine
from unmask.server.app import create_app
from unmask.server.requests import MOST_TURNS
from unmask.server.settings import ServerSettings
from unmask.server.unsupported import CHAT as CHAT_TABLE
from unmask.server.unsupported import COMPLETIONS as TEXT_TABLE
from unmask.server.unsupported import NO_BIAS, only_known

CHAT, TEXT, CANVAS = "/v1/chat/completions", "/v1/completions", "/v1/canvas"
USER = {"role": "user", "content": QUESTION}
BODIES = {CHAT: {"messages": [USER]}, TEXT: {"prompt": "Once upon a time"}}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def model():
    return unmask.load("tiny-fast", device="cpu")


@pytest.fixture(scope="module")
def client(model):
    engine = Engine(model, slots=4)
    engine.start()
    settings = ServerSettings("tiny-fast", cors=("https://a.example",))
    with TestClient(create_app(engine, settings)) as client:
        yield client
    engine.drain(0)


def asked(client, path, **given):
    answer = client.post(path, json={**BODIES[path], "max_tokens": 4, **given})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client, path, content):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = client.post(path, content=content, headers=JSON)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def chunks(client, path, **given):
    answer = client.post(path, json={**BODIES[path], "stream": True, **given})
    assert answer.status_code == 200, answer.text
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


# What asks for nothing.

TABLES = {CHAT: CHAT_TABLE, TEXT: TEXT_TABLE}
NEUTRAL = [
    (path, name, {"50": 0} if value is NO_BIAS else value)
    for path, table in TABLES.items()
    for name, unsupported in table.items()
    for value in (None, *unsupported.neutral)
]
# Defaults of vLLM's request models, by hand.
DEFAULTS = {
    "use_beam_search": False, "top_k": None, "min_p": None, "repetition_penalty": None,
    "length_penalty": 1.0, "stop_token_ids": [], "include_stop_str_in_output": False,
    "ignore_eos": False, "min_tokens": 0, "skip_special_tokens": True, "bad_words": [],
    "spaces_between_special_tokens": True, "truncate_prompt_tokens": None, "priority": 0,
    "prompt_logprobs": None, "allowed_token_ids": None, "return_token_ids": None,
    "stop": [], "n": 1, "user": None, "logit_bias": None, "cache_salt": None, "vllm_xargs": None,
    "kv_transfer_params": None, "session_id": None, "stream": False, "stream_options": None,
}  # fmt: skip
OFTEN = {
    "repetition_penalty": 1.0, "min_p": 0.0, "top_k": 0, "presence_penalty": 0, "top_p": 1.0,
    "frequency_penalty": -0.0, "min_tokens": 0, "ignore_eos": False, "logit_bias": {},
    "stream_options": {"include_usage": False, "continuous_usage_stats": False},
}  # fmt: skip


@pytest.mark.parametrize(("path", "name", "value"), NEUTRAL)
def test_a_neutral_value_passes(client, path, name, value):
    body = {**BODIES[path], "max_tokens": 1, name: value}
    assert client.post(path, json=body).status_code == 200


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("given", [DEFAULTS, OFTEN, {"top_k": -1, "temperature": 1.0}])
def test_defaults_of_clients_pass(client, path, given):
    asked(client, path, **given)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", sorted(set(CHAT_TABLE) & set(TEXT_TABLE)))
def test_a_value_that_asks_for_something_is_refused(client, path, name):
    error = refused(client, path, {**BODIES[path], name: "something"})
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition_penalty", True), ("min_p", False), ("logit_bias", {"5": False}),
        ("stop_token_ids", [0]), ("skip_special_tokens", 1), ("chat_template_kwargs", {"a": None}),
    ],
)  # fmt: skip
def test_a_truth_value_is_no_number_and_nothing_is_none(client, name, value):
    assert refused(client, CHAT, {**BODIES[CHAT], name: value})["param"] == name


def test_top_k_of_all_tokens_takes_back_that_of_the_server(model):
    engine = Engine(model, slots=1)
    engine.start()
    settings = ServerSettings("tiny-fast", overrides={"top_k": 1, "temperature": 1.0})
    with TestClient(create_app(engine, settings)) as client:
        answers = [
            client.post(CHAT, json={**BODIES[CHAT], "temperature": 50.0, "seed": 1, **given}).json()
            for given in ({}, {"top_k": 0}, {"top_k": -1})
        ]
    engine.drain(0)
    one, *other = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert other[0] == other[1] != one


def test_messages_may_have_names_and_marks_for_caches(client):
    part = {"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}}
    turn = {"role": "user", "name": "mia", "content": [part], "cache_control": None}
    back = {"role": "assistant", "content": "Hi", "refusal": "", "reasoning_content": None,
            "annotations": [], "tool_calls": []}  # fmt: skip
    same = asked(client, CHAT, messages=[USER, back, {"role": "user", "content": QUESTION}])
    found = asked(client, CHAT, messages=[USER, back, turn])
    assert found["choices"] == same["choices"]


# What vLLM's clients ask for.


@pytest.mark.parametrize("path", BODIES)
def test_usage_in_every_chunk_counts_up_to_the_end(client, path):
    told = {"include_usage": True, "continuous_usage_stats": True}
    found = [one["usage"] for one in chunks(client, path, stream_options=told)]
    counts = [one["completion_tokens"] for one in found]
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2] > 0
    assert {one["prompt_tokens"] for one in found} == {found[-1]["prompt_tokens"]}
    for one in found:
        assert one["total_tokens"] == one["prompt_tokens"] + one["completion_tokens"]


def test_usage_in_every_chunk_is_that_of_its_choice(client):
    told = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    told["ignore_eos"] = True
    found = chunks(client, TEXT, prompt=["a b c", "a"], max_tokens=3, **told)
    last = {one["choices"][0]["index"]: one["usage"] for one in found if one["choices"]}
    assert last[0]["prompt_tokens"] > last[1]["prompt_tokens"]
    assert [last[at]["completion_tokens"] for at in (0, 1)] == [3, 3]
    assert found[-1]["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    "given", [{"stream": False}, {"stream_options": {"continuous_usage_stats": True}}]
)
def test_usage_that_nobody_would_tell_is_refused(client, given):
    body = {"stream": True, "stream_options": {"include_usage": True}, **given}
    assert refused(client, CHAT, {**BODIES[CHAT], **body})["param"].startswith("stream_options")


@pytest.mark.parametrize("preset", ["fast-dllm", "d3llm"])
@pytest.mark.parametrize("path", BODIES)
def test_ignored_ends_leave_an_answer_of_its_full_length(client, path, preset):
    given = {"preset": preset, "max_tokens": 80}
    assert asked(client, CHAT, **given)["usage"]["completion_tokens"] < 80
    body = asked(client, path, **given, ignore_eos=True)
    assert body["usage"]["completion_tokens"] == 80
    assert body["choices"][0]["finish_reason"] == "length"


def test_every_counted_token_of_an_answer_that_nothing_ended_has_its_probability(client):
    given = {"max_tokens": 80, "ignore_eos": True, "logprobs": True}
    whole = asked(client, CHAT, **given)["choices"][0]["logprobs"]["content"]
    found = [one["choices"][0]["logprobs"] for one in chunks(client, CHAT, **given)]
    assert len(whole) == 80
    assert whole[-1]["token"] == "<|end|>"  # or this would show nothing
    assert [token for one in found if one for token in one["content"]] == whole


def test_ignored_ends_and_an_early_stop_contradict_each_other(client):
    error = refused(client, CHAT, {**BODIES[CHAT], "ignore_eos": True, "early_stop": True})
    assert error["param"] == "ignore_eos"


@pytest.mark.parametrize("preset", ["fast-dllm", "dparallel", "d3llm"])
def test_no_answer_ends_before_its_least_number_of_tokens(client, preset):
    given = {"preset": preset, "max_tokens": 96}
    short = asked(client, CHAT, **given)["usage"]["completion_tokens"]
    assert short < 60
    body = asked(client, CHAT, **given, min_tokens=60)
    assert body["usage"]["completion_tokens"] > 60  # and the end token behind them
    assert asked(client, CHAT, **given, min_tokens=1)["usage"]["completion_tokens"] == short
    whole = asked(client, CHAT, **given, min_tokens=96)
    assert whole["usage"]["completion_tokens"] == 96
    assert whole["choices"][0]["finish_reason"] == "length"


def test_stop_strings_wait_for_the_least_number_of_tokens(client):
    text = asked(client, CHAT, max_tokens=64)["choices"][0]["message"]["content"]
    assert text.count(".") > 2
    first = asked(client, CHAT, max_tokens=64, stop=".")
    assert first["choices"][0]["message"]["content"] == text[: text.index(".")]
    tokens = first["usage"]["completion_tokens"]
    later = asked(client, CHAT, max_tokens=64, stop=".", min_tokens=tokens)
    second = text.index(".", text.index(".") + 1)
    assert later["choices"][0]["message"]["content"] == text[:second]
    same = asked(client, CHAT, max_tokens=64, stop=".", min_tokens=tokens - 1)
    assert same["choices"] == first["choices"]


@pytest.mark.parametrize("path", BODIES)
def test_more_tokens_than_there_may_be_are_refused(client, path):
    error = refused(client, path, {**BODIES[path], "max_tokens": 4, "min_tokens": 5})
    assert error["param"] == "min_tokens"


# Probabilities.


def test_zero_logprobs_are_told_and_at_any_temperature(client):
    for given in ({}, {"temperature": 1.0}):
        body = asked(client, TEXT, logprobs=0, **given)["choices"][0]
        assert "".join(body["logprobs"]["tokens"]) == body["text"]
        assert body["logprobs"]["top_logprobs"] is None
        assert len(body["logprobs"]["token_logprobs"]) == 4
    assert asked(client, TEXT)["choices"][0]["logprobs"] is None
    assert asked(client, CHAT, logprobs=False)["choices"][0]["logprobs"] is None


def test_offsets_of_a_stream_go_on_from_chunk_to_chunk(client):
    given = {"max_tokens": 24, "min_tokens": 24, "preset": "vanilla", "logprobs": 0}
    whole = asked(client, TEXT, **given)["choices"][0]["logprobs"]
    found = [one["choices"][0]["logprobs"] for one in chunks(client, TEXT, **given)]
    assert sum(bool(one["text_offset"]) for one in found) > 2
    assert [at for one in found for at in one["text_offset"]] == whole["text_offset"]


def test_of_several_unknown_fields_the_first_is_kept_for_the_message():
    given = {"a": 1, "model": "m", "b": 2, "n": 1, "c": 3}
    assert only_known(given, {"model", "n"}) == {"a": 1, "model": "m", "n": 1}


# Bodies that are meant to hold the server up: every one ends at its first error.

MANY = 60_000
FIELDS = {f"k{at}": 0 for at in range(MOST_TURNS)}
HEAVY = [
    (CHAT, {"messages": [0] * MANY}, "messages"),
    (CHAT, {"messages": [0] * MOST_TURNS}, "messages[0]"),
    (CHAT, {"messages": [USER] * (MOST_TURNS + 1)}, "messages"),
    (CHAT, {"messages": [{}] * MOST_TURNS}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user", "content": [{}] * 2000}]}, "messages[0].content[0].type"),
    (CHAT, {"messages": [{"role": "user", "content": [0.5] * MANY}]}, "messages[0].content"),
    (CHAT, {"messages": [{**USER, **FIELDS}]}, "messages[0].k0"),
    (CHAT, {"messages": [USER], **FIELDS}, "k0"),
    (CHAT, {"messages": [USER], "metadata": FIELDS}, "metadata"),
    (CHAT, {"messages": [USER], "logit_bias": {**FIELDS, "k": 1}}, "logit_bias"),
    (CHAT, {"messages": [USER], "tools": [[[]]] * 2000}, "tools"),
    (CHAT, {"messages": [USER], "stop": [5] * MANY}, "stop"),
    (CHAT, {"messages": [USER], "stop": "a" * 2000}, "stop"),
    (CHAT, {"messages": [USER], "stream_options": FIELDS}, "stream_options.k0"),
    (TEXT, {"prompt": [0.5] * MANY}, "prompt[0]"),
    (TEXT, {"prompt": [[1.5] * 2000] * 32}, "prompt[0][0]"),
    (TEXT, {"prompt": [1] * MANY}, "prompt"),
    (TEXT, {"prompt": ["a"] * 33}, "prompt"),
    (TEXT, {"prompt": [[1]] * 33}, "prompt"),
    (TEXT, {"prompt": "a b " * MANY}, "prompt"),
    (TEXT, {"prompt": "a", "suffix": "a b " * MANY}, "suffix"),
    (CANVAS, {"prompt": "a", "infill": [{}] * 2000}, "infill[0]"),
    (CANVAS, {"prompt": "a", "infill": [0]}, "infill[0]"),
    (CANVAS, {"prompt": "a", "infill": [1, -(10**30)]}, "infill[1]"),
    (CANVAS, {"prompt": "a", "infill": ["a b " * MANY]}, "infill"),
    (CANVAS, {"prompt": "a", "infill": ["a b " * 100, 1] * 1000}, "infill"),
    (CANVAS, {"prompt": "a b " * MANY, "infill": [1]}, "prompt"),
    (CANVAS, {"messages": [{"role": "user", "content": "a b " * MANY}], "infill": [1]}, "messages"),
]


@pytest.mark.parametrize(
    ("path", "body", "param"), HEAVY, ids=[f"{at} {one[2]}" for at, one in enumerate(HEAVY)]
)
def test_a_body_ends_at_its_first_error(client, path, body, param):
    error = refused(client, path, body)
    assert error["param"] == param
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    "content",
    [
        b'{"messages": [%s]}' % b",".join([b"0"] * 500_000),
        b'{"messages": [%s]}' % b",".join([b"{}"] * 300_000),
        b'{"a": [%s]}' % b",".join([b'"ab"'] * 200_000),
        b"{%s}" % b",".join(b'"%d": 0' % at for at in range(80_000)),
        b'{"a": %s}' % (b"[" * 100_000 + b"]" * 100_000),
        b'{"a": %s1%s}' % (b'{"a":' * 100_000, b"}" * 100_000),
        b'{"seed": %s}' % (b"9" * 1000),
        b'{"messages": "\xff"}',
        '{"messages": []}'.encode("utf-16"),
    ],
    ids=["zeros", "objects", "texts", "fields", "deep", "deeper", "digits", "bytes", "utf-16"],
)
def test_a_body_with_more_in_it_than_any_request_needs_is_not_read(client, content, monkeypatch):
    monkeypatch.setattr("unmask.server.requests.ChatRequest.model_validate", None)
    assert "body" in refused(client, CHAT, content)["message"]


def test_commas_and_brackets_of_a_text_do_not_count(client):
    text = 'if (a[0] == {b: "c, d"}): ' * 4000
    messages = [{"role": "user", "content": text}, USER]
    assert asked(client, CHAT, messages=messages)["choices"]


def test_as_much_as_is_allowed_is_answered(client):
    turns = [{"role": "user", "content": [{"type": "text", "text": ""}] * 2}] * (MOST_TURNS - 1)
    assert asked(client, CHAT, messages=[*turns, USER])["choices"]


# Numbers that are none.


@pytest.mark.parametrize("path", [CHAT, TEXT, CANVAS])
@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
@pytest.mark.parametrize("name", ["threshold", "factor", "temperature", "block_add_threshold"])
def test_a_number_without_end_is_named(client, path, name, number):
    body = {**BODIES.get(path, {"prompt": "a"}), name: 0}
    content = json.dumps(body).replace(f'"{name}": 0', f'"{name}": {number}').encode()
    assert refused(client, path, content)["param"] == name


# The rest.


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/metrics", "/v1/models", "/v1/models/tiny-fast", "/docs"]
)
def test_what_can_be_got_has_a_head(client, path):
    assert client.head(path).status_code == client.get(path).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_page_may_send_the_headers_that_it_asks_to_send(client, method):
    wished = "authorization,content-type,user-agent,x-stainless-lang,x-stainless-retry-count"
    answer = client.options(
        CHAT,
        headers={
            "Origin": "https://a.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": wished,
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-headers"] == wished
    answer = client.get("/health", headers={"Origin": "https://a.example"})
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
