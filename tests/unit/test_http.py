"""What the server takes, what it refuses and how it says so; no socket."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from fastapi.testclient import TestClient

import unmask
from serving import LONG, QUESTION
from unmask.decode import policy
from unmask.engine.engine import Engine
from unmask.errors import BusyError, DecodeError, InputError
from unmask.server import limits, sse
from unmask.server.app import create_app
from unmask.server.errors import as_api_error
from unmask.server.preparation import merged
from unmask.server.service import service_of
from unmask.server.settings import ServerSettings

CHAT, TEXT, CANVAS = "/v1/chat/completions", "/v1/completions", "/v1/canvas"
MESSAGES = [{"role": "user", "content": QUESTION}]
BODIES = {
    CHAT: {"messages": MESSAGES},
    TEXT: {"prompt": "Once upon a time"},
    CANVAS: {"prompt": QUESTION},
}


@pytest.fixture(scope="module")
def model():
    return unmask.load("tiny-fast", device="cpu")


@pytest.fixture(scope="module")
def engine(model):
    engine = Engine(model, slots=4)
    engine.start()
    yield engine
    engine.drain(0)


def client_of(engine, **settings):
    return TestClient(create_app(engine, ServerSettings("tiny-fast", **settings)))


@pytest.fixture(scope="module")
def client(engine):
    with client_of(engine) as client:
        yield client


def error_of(answer, status=400):
    """The error of a refusal, whose shape is always the same."""
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def events_of(answer):
    """(name, data) of every event of a stream; the name of a bare one is None."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        data = lines["data"]
        found.append((lines.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found


def offline(model, prompt=QUESTION, **settings):
    [result] = unmask.generate(model, [prompt], **settings)
    return result


# What is answered.


def test_chat_gives_the_offline_answer_and_honest_counts(client, model):
    expected = offline(model)
    body = client.post(CHAT, json=BODIES[CHAT]).json()
    assert body["choices"][0]["message"] == {
        "role": "assistant", "content": expected.text, "refusal": None,
    }  # fmt: skip
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["completion_tokens"] == expected.tokens
    assert usage["prompt_tokens"] == expected.trajectory.prompt_length
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["forwards"] == expected.forwards
    assert usage["fed_positions"] == expected.fed_positions
    assert usage["tokens_per_forward"] == round(expected.tokens_per_forward, 3)


@pytest.mark.parametrize("preset", ["vanilla", "fast-dllm", "dparallel", "d3llm"])
def test_every_preset_gives_the_offline_answer(client, model, preset):
    body = client.post(CHAT, json={**BODIES[CHAT], "preset": preset, "max_tokens": 48}).json()
    expected = offline(model, preset=preset, max_new_tokens=48)
    assert body["choices"][0]["message"]["content"] == expected.text


def test_settings_of_the_request_reach_the_decoder(client, model):
    settings = {"strategy": "factor", "factor": 1.0, "cache": "prefix", "block_length": 8}
    body = client.post(CHAT, json={**BODIES[CHAT], **settings, "preset": "fast-dllm"}).json()
    expected = offline(model, preset="fast-dllm", **settings)
    assert body["choices"][0]["message"]["content"] == expected.text
    assert body["usage"]["forwards"] == expected.forwards


def test_messages_may_come_in_parts_and_as_a_client_sends_them_back(client):
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": "Hi.", "refusal": None, "tool_calls": None, "audio": None},
        *MESSAGES,
    ]
    assert client.post(CHAT, json={"messages": turns, "max_tokens": 8}).status_code == 200


def test_neutral_values_of_what_is_not_supported_are_taken(client):
    neutral = {
        "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "tools": None, "n": 1,
        "response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"}, "store": False,
        "service_tier": "auto", "top_logprobs": 0, "top_p": 1, "stop": None, "seed": None,
    }  # fmt: skip
    answer = client.post(CHAT, json={**BODIES[CHAT], **neutral, "max_tokens": 4})
    assert answer.status_code == 200, answer.text


def test_a_short_answer_ends_for_its_length(client):
    body = client.post(CHAT, json={**BODIES[CHAT], "max_tokens": 5}).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_a_stop_string_ends_the_answer_before_it_and_frees_the_slot_early(client, model):
    whole = offline(model, preset="vanilla").text
    body = client.post(
        CHAT, json={**BODIES[CHAT], "preset": "vanilla", "stop": ["nowhere", " Step 1"]}
    ).json()
    assert body["choices"][0]["message"]["content"] == whole[: whole.index(" Step 1")]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["forwards"] < 96  # the whole canvas, one token each


def test_a_stream_is_the_whole_answer_in_order_with_one_end(client, model):
    given = {**BODIES[CHAT], "stream": True, "stream_options": {"include_usage": True}}
    chunks = [data for _, data in events_of(client.post(CHAT, json=given))]
    assert chunks.pop() == "[DONE]"
    usage = chunks.pop()
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == offline(model).tokens
    assert {chunk["usage"] for chunk in chunks} == {None}
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(one["delta"].get("content", "") for one in choices) == offline(model).text
    assert [one["finish_reason"] for one in choices if one["finish_reason"]] == ["stop"]


def test_choices_draw_with_seeds_of_their_own(client, model):
    drawn = {"temperature": 1.5, "seed": 7}
    body = client.post(CHAT, json={**BODIES[CHAT], **drawn, "n": 3}).json()
    texts = [choice["message"]["content"] for choice in body["choices"]]
    expected = [offline(model, temperature=1.5, seed=7 + at).text for at in range(3)]
    assert texts == expected
    prompt = offline(model).trajectory.prompt_length
    assert body["usage"]["prompt_tokens"] == prompt  # told once


def test_streamed_choices_are_told_apart(client):
    given = {**BODIES[CHAT], "temperature": 1.5, "seed": 7, "n": 2}
    whole = client.post(CHAT, json=given).json()
    texts = {0: "", 1: ""}
    for _, data in events_of(client.post(CHAT, json={**given, "stream": True}))[:-1]:
        for choice in data["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == {one["index"]: one["message"]["content"] for one in whole["choices"]}


def test_logprobs_spell_the_answer_and_are_those_of_the_moment_of_writing(client):
    given = {**BODIES[CHAT], "logprobs": True}
    choice = client.post(CHAT, json=given).json()["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    assert all(one["logprob"] <= 0 and one["top_logprobs"] == [] for one in content)
    commits = [
        data
        for name, data in events_of(client.post(CANVAS, json=BODIES[CANVAS]))
        if name == "commit"
    ]
    sure = {one["at"]: one["confidence"] for commit in commits for one in commit["tokens"]}
    for at, one in enumerate(content):
        assert math.exp(one["logprob"]) == pytest.approx(sure[at], abs=1e-5)


def test_streamed_logprobs_are_those_of_the_whole_answer(client):
    given = {**BODIES[CHAT], "logprobs": True}
    whole = client.post(CHAT, json=given).json()["choices"][0]["logprobs"]["content"]
    found = []
    for _, data in events_of(client.post(CHAT, json={**given, "stream": True}))[:-1]:
        found += (data["choices"][0]["logprobs"] or {"content": []})["content"]
    assert [one["token"] for one in found] == [one["token"] for one in whole]
    assert [one["logprob"] for one in found] == pytest.approx([one["logprob"] for one in whole])


def test_logprobs_leave_the_stop_string_out(client):
    given = {**BODIES[CHAT], "logprobs": True, "stop": " Step 1"}
    choice = client.post(CHAT, json=given).json()["choices"][0]
    spelled = "".join(one["token"] for one in choice["logprobs"]["content"])
    assert spelled == choice["message"]["content"]


def test_completions_take_texts_and_ids_and_go_on_raw(client, model):
    prompts = ["Once upon a time", "Mia has"]
    body = client.post(TEXT, json={"prompt": prompts, "max_tokens": 12}).json()
    expected = [offline(model, one, raw=True, max_new_tokens=12).text for one in prompts]
    assert [choice["text"] for choice in body["choices"]] == expected
    ids = model.codec.encode(prompts[0], plain=True)
    for given in (ids, [ids]):
        same = client.post(TEXT, json={"prompt": given, "max_tokens": 12}).json()
        assert same["choices"][0]["text"] == expected[0]


def test_a_suffix_makes_a_gap_that_is_filled(client, model):
    prompt, suffix = "Mia has 12 apples. So 12 + 7 =", ". The answer is 19."
    body = client.post(TEXT, json={"prompt": prompt, "suffix": suffix, "max_tokens": 1}).json()
    expected = offline(model, unmask.Infill(1, suffix, prompt=prompt), raw=True).text
    assert body["choices"][0]["text"] + suffix == expected
    assert body["usage"]["completion_tokens"] == 1
    before, after = (len(model.codec.encode(one, plain=False)) for one in (prompt, suffix))
    assert body["usage"]["prompt_tokens"] == before + after


def test_completion_logprobs_have_tokens_and_offsets(client):
    body = client.post(TEXT, json={**BODIES[TEXT], "max_tokens": 6, "logprobs": 1}).json()
    text, logprobs = body["choices"][0]["text"], body["choices"][0]["logprobs"]
    assert "".join(logprobs["tokens"]) == text
    for token, at in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert text[at : at + len(token)] == token
    best = [max(one.values()) for one in logprobs["top_logprobs"]]
    assert best == logprobs["token_logprobs"]


def test_the_default_length_shrinks_to_what_fits(client, engine):
    ids = [100] * (engine.length - 10)
    body = client.post(TEXT, json={"prompt": ids, "early_stop": False}).json()
    assert body["usage"]["total_tokens"] <= engine.length


# The canvas.


def test_the_canvas_tells_every_forward_once(client, model):
    events = events_of(client.post(CANVAS, json={**BODIES[CANVAS], "max_tokens": 40}))
    assert [name for name, _ in events][:1] == ["start"]
    assert [name for name, _ in events][-1] == "done"
    start, commits, done = events[0][1], [data for _, data in events[1:-1]], events[-1][1]
    expected = offline(model, max_new_tokens=40)
    assert done["text"] == expected.text
    assert done["usage"]["forwards"] == expected.forwards == len(commits)
    assert [commit["step"] for commit in commits] == list(range(1, expected.forwards + 1))
    assert sum(commit["fed"] for commit in commits) == expected.fed_positions
    assert (start["preset"], start["length"], start["block_length"]) == ("d3llm", 40, 16)
    assert start["settings"]["threshold"] == 0.1
    assert {one["at"] for commit in commits for one in commit["tokens"]} == set(range(40))
    assert commits[0]["refresh"] is True
    assert commits[-1]["frontier"] is None


def test_the_canvas_can_be_played_back_to_the_text(client):
    events = events_of(client.post(CANVAS, json=BODIES[CANVAS]))
    places = {}
    for _, commit in events[1:-1]:
        places |= {one["at"]: one for one in commit["tokens"]}
    shown = [one for _, one in sorted(places.items()) if not one.get("special")]
    assert "".join(one["text"] for one in shown) == events[-1][1]["text"]
    assert any(one.get("pad") for one in places.values())


def test_the_canvas_fills_gaps_and_tells_what_was_given(client, model):
    parts = ["So 12 + 7 =", 1, ". The answer is", 1, "."]
    events = events_of(client.post(CANVAS, json={"messages": MESSAGES, "infill": parts}))
    expected = offline(model, unmask.Infill(*parts, prompt=QUESTION))
    assert events[-1][1]["text"] == expected.text
    given = events[0][1]["given"]
    assert "".join(one["text"] for one in given) == "So 12 + 7 =. The answer is."


def test_the_window_of_the_canvas_lies_in_the_answer(client):
    events = events_of(client.post(CANVAS, json={**BODIES[CANVAS], "preset": "fast-dllm"}))
    length = events[0][1]["length"]
    for _, commit in events[1:-2]:
        start, stop = commit["frontier"]
        assert 0 <= start < stop <= commit["window_stop"] <= length


# What is refused.

WRONG = [
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 1e999}, "temperature"),
    ({"top_p": 2, "temperature": 1}, "top_p"),
    ({"top_p": 2}, "top_p"),
    ({"top_k": -2}, "top_k"),
    ({"seed": -1}, "seed"),
    ({"seed": 10**30}, "seed"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 10**20}, "max_tokens"),
    ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    ({"preset": "fastest"}, "preset"),
    ({"preset": 3}, "preset"),
    ({"block_length": 0}, "block_length"),
    ({"schedule": "x"}, "schedule"),
    ({"cache": "../none"}, "cache"),
    ({"threshold": 5, "strategy": "threshold"}, "threshold"),
    ({"steps": 7, "block_length": 16}, "steps"),
    ({"delay": 1, "preset": "fast-dllm"}, "delay"),
    ({"early_stop": "no"}, "early_stop"),
    ({"shifted": True}, "shifted"),
    ({"batch_size": 2}, "batch_size"),
    ({"a": 1}, "a"),
]  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("wrong", "param"), WRONG, ids=[json.dumps(one) for one, _ in WRONG])
def test_a_wrong_setting_is_400_with_its_name(client, path, wrong, param):
    # json.dumps of the standard library writes Infinity, which our parser takes as well.
    content = json.dumps({**BODIES[path], **wrong})
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    error = error_of(answer)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


UNSUPPORTED = [
    (CHAT, {"presence_penalty": 0.5}), (CHAT, {"frequency_penalty": -1}),
    (CHAT, {"logit_bias": {"5": 1}}), (CHAT, {"tools": [{"type": "function"}]}),
    (CHAT, {"tool_choice": "required"}), (CHAT, {"functions": [{}]}),
    (CHAT, {"response_format": {"type": "json_object"}}),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {}}}),
    (CHAT, {"top_logprobs": 3}), (CHAT, {"service_tier": "flex"}), (CHAT, {"store": True}),
    (CHAT, {"modalities": ["audio"]}), (CHAT, {"reasoning_effort": "high"}),
    (TEXT, {"echo": True}), (TEXT, {"best_of": 2}), (TEXT, {"presence_penalty": 1}),
    (CHAT, {"parallel_tool_calls": False}), (CHAT, {"guided_json": {}}), (TEXT, {"logprobs": 5}),
    (CHAT, {"n": 33}), (CHAT, {"n": 0}), (CHAT, {"stop": ["a"] * 5}), (CHAT, {"stop": 5}),
    (CHAT, {"stop": ""}), (TEXT, {"stop": ["a", ""]}),
    (CHAT, {"stream_options": {"include_usage": True}}), (TEXT, {"prompt": []}),
    (TEXT, {"prompt": ["a", 1]}), (TEXT, {"prompt": [1, -1]}), (TEXT, {"prompt": ""}),
    (TEXT, {"messages": MESSAGES}), (CHAT, {"prompt": "a"}), (CHAT, {"infill": ["a", 1]}),
    (CHAT, {"messages": []}), (CHAT, {"messages": "hi"}), (CHAT, {"metadata": {"a": 1}}),
    (CANVAS, {"n": 2}), (CANVAS, {"infill": []}), (CANVAS, {"infill": ["only text"]}),
    (CANVAS, {"infill": ["a", 0]}), (CANVAS, {"infill": ["a", 10**6]}), (CANVAS, {"raw": "yes"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "wrong"), UNSUPPORTED, ids=[f"{path} {json.dumps(one)}" for path, one in UNSUPPORTED]
)
def test_what_is_not_supported_is_400_with_its_name(client, path, wrong):
    error = error_of(client.post(path, json={**BODIES[path], **wrong}))
    [name] = wrong
    assert error["param"].split("[")[0].split(".")[0] in (name, "prompt"), error


def test_a_schema_is_refused_with_the_reason(client):
    given = {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}
    error = error_of(client.post(CHAT, json={**BODIES[CHAT], **given}))
    assert "any order" in error["message"]
    assert error["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "tool", "content": "a"}, "messages[0].role"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": "a", "tool_calls": [{}]}, "tool_calls"),
        ({"role": "user", "content": "a", "cache": 1}, "messages[0].cache"),
        (5, "messages[0]"),
    ],
)
def test_a_wrong_message_is_named_by_its_place(client, message, param):
    error = error_of(client.post(CHAT, json={"messages": [message]}))
    assert error["param"] == param


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 10**5, b'{"n": %s}' % (b"9" * 5000)],
    ids=["empty", "cut", "list", "null", "text", "bytes", "deep", "long number"],
)
@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_no_object_is_400(client, path, content):
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert "body" in error_of(answer)["message"]


def test_a_body_without_a_type_is_told_which_one_to_send(client):
    error = error_of(client.post(CHAT, content=json.dumps(BODIES[CHAT])))
    assert "application/json" in error["message"]


def test_half_a_character_is_no_reason_to_fail(client):
    for body in (
        {"model": "\ud800"},
        {"\ud800": 1},
        {"messages": [{"role": "user", "content": "\ud800"}]},
    ):
        answer = client.post(
            CHAT,
            content=json.dumps({**BODIES[CHAT], **body}),
            headers={"Content-Type": "application/json"},
        )
        error_of(answer, 404 if "model" in body else 400)


def test_an_infill_longer_than_a_slot_is_named(model):
    with client_of(Engine(model, slots=1, length=40)) as client:
        error = error_of(client.post(CANVAS, json={**BODIES[CANVAS], "infill": ["So", 50]}))
    assert error["param"] == "infill"


def test_a_prompt_without_room_for_an_answer_is_named(client, engine):
    error = error_of(client.post(TEXT, json={"prompt": [100] * engine.length}))
    assert error["param"] == "prompt"
    error = error_of(client.post(CHAT, json={**BODIES[CHAT], "max_tokens": engine.length}))
    assert (error["param"], error["code"]) == ("max_tokens", "context_length_exceeded")


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_model_is_404(client, path):
    error = error_of(client.post(path, json={**BODIES[path], "model": "gpt-5"}), 404)
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert "tiny-fast" in error["message"]


def test_a_wrong_method_is_405_and_a_wrong_path_404(client):
    assert client.get(CHAT).headers["allow"] == "POST"
    error_of(client.get(CHAT), 405)
    error_of(client.post("/v1/nothing", json={}), 404)
    error_of(client.get("/v1/models/other"), 404)
    error_of(client.get("/../settings.py"), 404)


# The server about itself.


def test_the_server_names_its_model(client):
    [model] = client.get("/v1/models").json()["data"]
    assert model["id"] == "tiny-fast"
    assert model["presets"] == ["d3llm", "vanilla", "fast-dllm", "dparallel"]
    assert client.get("/v1/models/tiny-fast").json() == model


def test_metrics_count_what_was_asked(engine):
    with client_of(engine) as client:
        client.post(CHAT, json={**BODIES[CHAT], "n": 2, "max_tokens": 4})
        client.post(CHAT, json={})
        text = client.get("/metrics").text
    assert 'unmask_requests_total{outcome="done"} 1.0' in text
    assert 'unmask_requests_total{outcome="invalid"} 1.0' in text
    assert "unmask_tokens_total 8.0" in text
    assert "unmask_running 0.0" in text
    assert "unmask_slots 4.0" in text
    assert "unmask_queue_seconds_count 2.0" in text


def test_the_api_is_described_with_examples_and_without_422(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in BODIES:
        post = paths[path]["post"]
        assert post["requestBody"]["content"]["application/json"]["examples"]
        assert "422" not in post["responses"]


@pytest.mark.parametrize("path", BODIES)
def test_every_documented_example_works(client, path):
    post = client.get("/openapi.json").json()["paths"][path]["post"]
    for example in post["requestBody"]["content"]["application/json"]["examples"].values():
        answer = client.post(path, json=example["value"])
        assert answer.status_code == 200, answer.text


def test_the_page_is_there_and_may_not_load_foreign_scripts(client):
    answer = client.get("/")
    assert "<html" in answer.text.lower()
    assert "default-src 'self'" in answer.headers["content-security-policy"]


# Limits.


def test_a_body_over_the_limit_is_413_whatever_length_it_announces(engine):
    with client_of(engine, body_limit=1000) as client:
        error = error_of(client.post(CHAT, json={"messages": "a" * 2000}), 413)
        assert error["code"] == "body_too_long"
        parts = (b"a" * 100 for _ in range(100))  # sent without a length
        error_of(client.post(CHAT, content=parts), 413)
        assert client.post(CHAT, json={**BODIES[CHAT], "max_tokens": 4}).status_code == 200


def test_a_limit_above_what_is_thrown_away_holds(engine, monkeypatch):
    monkeypatch.setattr(limits, "DISCARDED", 500)
    with client_of(engine, body_limit=3000) as client:
        body = json.dumps({**BODIES[CHAT], "max_tokens": 4}).encode() + b" " * 2000
        kind = {"Content-Type": "application/json"}
        parts = (body[at : at + 100] for at in range(0, len(body), 100))
        for content in (body, parts):  # with a length and without one
            assert client.post(CHAT, content=content, headers=kind).status_code == 200


def test_a_key_is_asked_for_under_v1_only(engine):
    with client_of(engine, api_key="secret") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            answer = client.get("/v1/models", headers=headers)
            assert error_of(answer, 401)["code"] == "invalid_api_key"
        known = {"Authorization": "Bearer secret"}
        assert client.get("/v1/models", headers=known).status_code == 200
        for path in ("/", "/health", "/ready", "/metrics"):
            assert client.get(path).status_code == 200


def test_other_origins_are_told_nothing_unless_allowed(engine):
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with client_of(engine) as client:
        assert "access-control-allow-origin" not in client.options(CHAT, headers=asking).headers
    with client_of(engine, cors=("https://a.example",), api_key="secret") as client:
        allowed = client.options(CHAT, headers=asking)
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        refused = client.get("/v1/models", headers={"Origin": "https://a.example"})
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        other = client.options(CHAT, headers={**asking, "Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


def test_an_answer_that_takes_too_long_is_504(engine):
    with client_of(engine, time_limit=1e-6) as client:
        error = error_of(client.post(CHAT, json=BODIES[CHAT]), 504)
        assert error["type"] == "timeout_error"
        events = events_of(client.post(CHAT, json={**BODIES[CHAT], "stream": True}))
        assert events[-1][1]["error"]["code"] == "timeout"
        events = events_of(client.post(CANVAS, json=BODIES[CANVAS]))
        assert events[-1][0] == "error"
        assert 'unmask_requests_total{outcome="late"} 3.0' in client.get("/metrics").text


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_more_answers_than_ever_fit_are_refused_at_once(model, path):
    engine = Engine(model, slots=1, waiting=1)
    engine.start()
    with client_of(engine) as client:
        assert error_of(client.post(path, json={**BODIES[path], "n": 3}))["param"] == "n"
        answer = client.post(path, json={**BODIES[path], "n": 2, "max_tokens": 2})
        assert len(answer.json()["choices"]) == 2
    engine.drain(0)


def test_a_closed_engine_is_503_everywhere(model):
    engine = Engine(model, slots=1)
    engine.start()
    engine.drain(0)
    with client_of(engine) as client:
        for path, body in BODIES.items():
            answer = client.post(path, json=body)
            error_of(answer, 503)
            assert answer.headers["retry-after"]
        error_of(client.get("/ready"), 503)
        assert client.get("/health").status_code == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_that_failed_is_not_healthy(model, monkeypatch):
    def lost(*given):
        raise RuntimeError("the device is lost")

    monkeypatch.setattr("unmask.engine.engine.vacate", lost)
    engine = Engine(model, slots=1)
    engine.start()
    with client_of(engine) as client:
        assert client.get("/health").status_code == 200
        path, body = next(iter(BODIES.items()))
        client.post(path, json=body)
        engine.drain(60)
        error_of(client.get("/health"), 503)
        error_of(client.get("/ready"), 503)


# Defaults of the server.


@pytest.fixture
def service(engine):
    defaults = {
        "threshold": 0.3,
        "cache": "delayed",
        "delay": 2,
        "max_new_tokens": 64,
        "top_p": 0.9,
    }
    return service_of(engine, ServerSettings("tiny-fast", "d3llm", defaults))


def held(service, preset, given):
    """What decodes a request: the preset, and those values that one of the two sides named."""
    preset, base, own = merged(service, preset, given)
    model = service.engine.model
    settings = policy.make(model.card, preset, own, model.defaults, base).settings
    return settings.preset, dict(settings.values)


def test_defaults_hold_where_a_request_says_nothing(service):
    preset, found = held(service, None, {"threshold": 0.5, "temperature": 1.0})
    assert preset == "d3llm"
    assert found.items() >= {
        "threshold": 0.5, "cache": "delayed", "delay": 2, "max_new_tokens": 64, "top_p": 0.9,
        "temperature": 1.0,
    }.items()  # fmt: skip


def test_defaults_for_one_method_give_way_to_another(service):
    preset, found = held(service, "vanilla", {})
    assert (preset, found["max_new_tokens"], found["cache"]) == ("vanilla", 64, "none")
    _, found = held(service, None, {"factor": 1.0})
    assert (found["strategy"], found["cache"], found["delay"]) == ("factor", "delayed", 2)
    assert "threshold" not in found
    for cache in ("dual", "sliding"):  # a delay of sliding's is another thing
        assert "delay" not in held(service, None, {"cache": cache})[1]
    assert held(service, None, {"cache": "delayed"})[1]["delay"] == 2


def test_the_likeliest_token_lies_in_every_nucleus(service, client, model):
    values = held(service, None, {"temperature": 0})[1]
    assert (values["top_p"], values["top_k"]) == (None, None)
    answer = client.post(CHAT, json={**BODIES[CHAT], "temperature": 0, "top_p": 0.5, "top_k": 3})
    assert answer.json()["choices"][0]["message"]["content"] == offline(model).text


# Errors.


def test_an_event_is_one_line_to_every_client():
    """httpx' iter_lines() and str.splitlines() know more ends of a line than the format does."""
    body = {"text": "a\u2028b\x85c\n\ud800"}
    line, empty = sse.data(body).splitlines()
    assert json.loads(line.removeprefix("data: ")) == body
    assert not empty


def test_errors_of_the_engine_have_a_status():
    busy = as_api_error(BusyError("full", 2.2))
    assert (busy.status, busy.headers) == (429, {"Retry-After": "3"})
    secret = as_api_error(DecodeError("weights of /home/me"))
    assert secret.status == 500
    assert "home" not in str(secret)
    named = as_api_error(InputError("cannot be shared", field="steps"))
    assert (named.status, named.param) == (400, "steps")


def test_a_model_that_raises_is_500_without_internals(model):
    engine = Engine(model, slots=2)

    def broken(*arguments):
        raise RuntimeError("/secret/path")

    with client_of(engine) as client:
        whole = engine.model.denoiser.forward
        engine.start()
        engine.model.denoiser.forward = broken
        try:
            error = error_of(client.post(CHAT, json=BODIES[CHAT]), 500)
        finally:
            engine.model.denoiser.forward = whole
            engine.drain(0)
    assert "secret" not in error["message"]


def test_a_broken_tokenizer_is_an_error_and_no_short_answer(engine, monkeypatch):
    with client_of(engine) as client:
        monkeypatch.setattr("unmask.text.frontier.Frontier.push", lambda self, canvas: 1 / 0)
        error_of(client.post(CHAT, json=BODIES[CHAT]), 500)


def test_a_model_without_tokenizer_cannot_be_served(llada):
    engine = Engine(llada, slots=1)
    with pytest.raises(InputError, match="tokenizer"):
        create_app(engine, ServerSettings("llada"))


def test_a_reader_that_stands_still_does_not_keep_its_slot(engine):
    """The first chunk is never taken; the answer is written all the same."""
    app = create_app(engine, ServerSettings("tiny-fast"))
    before = engine.statistics().ended.get("done", 0)

    async def read_nothing():
        still = asyncio.Event()

        async def send(message):
            if message["type"] == "http.response.body":
                await still.wait()

        asking = asyncio.ensure_future(app(scope_of(CANVAS), body_then(BODIES[CANVAS]), send))
        while engine.statistics().ended.get("done", 0) == before:
            await asyncio.sleep(0.01)
        asking.cancel()

    asyncio.run(read_nothing())
    assert engine.statistics().running == 0


def test_a_body_that_never_comes_is_408(engine):
    app = create_app(engine, ServerSettings("tiny-fast", time_limit=0.05))
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope_of(CHAT), asyncio.Event().wait, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["code"] == "body_too_late"


def test_a_client_that_leaves_frees_its_slot(engine):
    """The app is called as uvicorn would; the client leaves once the work is under way."""
    app = create_app(engine, ServerSettings("tiny-fast"))
    for stream in (False, True):
        body = {**BODIES[CHAT], **LONG, "stream": stream}
        sent = asyncio.run(call_and_leave(app, engine, body))
        assert not any(message.get("body", b"").endswith(b"[DONE]\n\n") for message in sent)
    assert engine.statistics().running == 0


def scope_of(path):
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "scheme": "http",
        "server": ("a", 80), "client": ("b", 1),
    }  # fmt: skip


def body_then(body, leave=None):
    """What uvicorn receives: the body, then nothing more, or ``leave`` and the end."""
    messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await (leave() if leave else asyncio.Event().wait())
        return {"type": "http.disconnect"}

    return receive


async def call_and_leave(app, engine, body):
    sent = []
    before = engine.statistics().ended.get("cancelled", 0)

    async def send(message):
        sent.append(message)

    async def running():
        while not engine.statistics().running:
            await asyncio.sleep(0.01)

    await app(scope_of(CHAT), body_then(body, running), send)
    while engine.statistics().ended.get("cancelled", 0) == before:
        await asyncio.sleep(0.01)
    return sent
