"""What clients really send, replayed; and the table of clients in docs/serving.md."""

from __future__ import annotations

import json

import openai
import pytest
from fastapi.testclient import TestClient
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

import unmask
from clients import CHAT, RECORDED, Asked, documented, recording, row
from serving import QUESTION
from unmask.engine.engine import Engine
from unmask.server.app import create_app
from unmask.server.settings import ServerSettings

RUN = {"openai"}
"""Clients that are run, not replayed."""
NAMES = {path.stem: recording(path)["client"] for path in RECORDED}
MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def client():
    engine = Engine(unmask.load("tiny-fast", device="cpu"), slots=4)
    engine.start()
    with TestClient(create_app(engine, ServerSettings("tiny-fast"))) as client:
        yield client
    engine.drain(0)


def refused_field(answer):
    """The field that a refusal blames, by its bare name."""
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"].split(".")[-1] in error["message"]
    return error["param"].split(".")[-1]


def replay(client, headers, request):
    """Send a recorded request and look at the answer; None if it has no body."""
    path, body = request["path"], request.get("body")
    answer = client.request(request["method"], path, headers=headers, json=body)
    if body is None:
        assert answer.status_code == 200
        return None
    if answer.status_code != 200:
        assert answer.status_code == 400, answer.text
        return Asked(path, body, refused_field(answer))
    texts, counts = (streamed if body.get("stream") else whole)(path, body, answer)
    assert len(texts) == (body.get("n") or 1)
    stops = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or []
    assert not any(stop in text for stop in stops for text in texts)
    if counts is not None and body.get("ignore_eos"):
        wanted = body.get("max_tokens") or body["max_completion_tokens"]
        assert counts["completion_tokens"] == wanted
    return Asked(path, body, None)


def whole(path, body, answer):
    """Texts and counts of an answer that comes at once."""
    told = answer.json()
    (ChatCompletion if path == CHAT else Completion).model_validate(told)
    for choice in told["choices"]:
        assert choice["finish_reason"] in ("stop", "length")
        assert bool(choice["logprobs"]) == bool(body.get("logprobs"))
    return [text_of(choice, "message") for choice in told["choices"]], told["usage"]


def streamed(path, body, answer):
    """Texts and counts of a stream."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, last = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert last == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    for chunk in chunks:
        check_chunk(path, chunk)
    options = body.get("stream_options") or {}
    counts = None
    if options.get("include_usage"):
        *chunks, end = chunks
        assert end["choices"] == []
        counts = end["usage"]
        told = [chunk["usage"] for chunk in chunks]
        assert all(told) if options.get("continuous_usage_stats") else not any(told)
    texts, ends = {}, []
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        texts[choice["index"]] = texts.get(choice["index"], "") + text_of(choice, "delta")
        ends += [choice["finish_reason"]] if choice["finish_reason"] else []
    assert len(ends) == len(texts)
    return list(texts.values()), counts


def check_chunk(path, chunk):
    if path == CHAT:
        ChatCompletionChunk.model_validate(chunk)
        return
    # The client has one type for both, which forgets that only the last chunk tells a reason.
    choices = [{**one, "finish_reason": one["finish_reason"] or "stop"} for one in chunk["choices"]]
    Completion.model_validate({**chunk, "choices": choices})


def text_of(choice, where):
    return choice["text"] if "text" in choice else choice[where].get("content", "")


@pytest.mark.parametrize("path", RECORDED, ids=NAMES)
def test_requests_of_a_client_are_answered_as_the_page_says(client, path):
    found = recording(path)
    asked = [replay(client, found["headers"], request) for request in found["requests"]]
    assert row([one for one in asked if one]) == documented()[found["client"]]


def attempts(own):
    """What the official client is asked to do."""
    chat, text = own.chat.completions, own.completions
    both = {"model": "tiny-fast", "messages": MESSAGES, "max_tokens": 8}
    plain = {"model": "tiny-fast", "prompt": "Once upon a time", "max_tokens": 8}
    last = {"stream": True, "stream_options": {"include_usage": True}}

    class Apples(BaseModel):
        count: int

    return [
        lambda: chat.create(**both).choices[0].message.content,
        lambda: [one.choices[0].delta for one in chat.create(**both, stream=True)][1].content,
        lambda: list(chat.create(**both, **last))[-1].usage.completion_tokens,
        lambda: text.create(**plain).choices[0].text,
        lambda: [one.choices[0].text for one in text.create(**plain, stream=True)],
        lambda: chat.create(**both, seed=7, temperature=0.7),
        lambda: chat.create(**both, stop=["Step"]),
        lambda: chat.create(**both, n=2, temperature=0.7).choices[1].message.content,
        lambda: chat.create(**both, logprobs=True).choices[0].logprobs.content[0].logprob,
        lambda: text.create(**plain, logprobs=1).choices[0].logprobs.token_logprobs,
        lambda: chat.create(**both, logprobs=True, top_logprobs=2),
        lambda: chat.parse(**both, response_format=Apples),
        lambda: chat.create(**both, tools=[TOOL]),
        lambda: text.create(**plain, echo=True, logprobs=1),
    ]  # fmt: skip


def test_the_official_client_does_what_the_page_says(client):
    own = openai.OpenAI(
        base_url="http://testserver/v1", api_key="none", http_client=client, max_retries=0
    )
    seen, asked = [], []
    client.event_hooks = {"request": [seen.append]}
    for attempt in attempts(own):
        field = None
        try:
            assert attempt()
        except openai.BadRequestError as error:
            field = error.param.split(".")[-1]
        asked.append(Asked(seen[-1].url.path, json.loads(seen[-1].content), field))
    client.event_hooks = {}
    assert row(asked) == documented()["openai"]


def test_the_page_names_every_client_and_no_other():
    assert documented().keys() == {*NAMES.values(), *RUN}
