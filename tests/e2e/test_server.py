"""The real server, as a process: the official client, curl, faults and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import openai
import pytest

import commands
import unmask
from serving import LONG, PATIENCE, QUESTION, serving, until
from unmask.models.loading import builtin

ROOT = Path(__file__).parents[2]
CHAT, TEXT, CANVAS = "/v1/chat/completions", "/v1/completions", "/v1/canvas"
MESSAGES = [{"role": "user", "content": QUESTION}]
BODY = {"messages": MESSAGES}
QUESTIONS = [
    QUESTION,
    "Tom has 5 pens. He loses 2 pens. How many pens does Tom have now?",
    "Solve this sudoku: 0 2 1 0 1 0 4 0 3 1 0 0 2 4 0 0",
    "Write a story about a dog.",
]


@pytest.fixture(scope="module")
def model():
    return unmask.load("tiny-fast", device="cpu")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server of most tests, with room for four."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "--slots", 4) as served:
        yield served
        assert served.process.poll() is None, log.read_text()


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """One slot, one seat in the queue, a key, and little patience."""
    log = tmp_path_factory.mktemp("strict") / "log"
    limits = ("--slots", 1, "--queue", 1, "--time-limit", 3, "--api-key", "secret")
    with serving(log, *limits, "--served-name", "my/model") as served:
        yield served


def client_of(served, key="none", **options):
    options = {"max_retries": 0, "timeout": PATIENCE, **options}
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, **options)


@pytest.fixture(scope="module")
def client(server):
    with client_of(server) as client:
        yield client


def offline(model, prompt=QUESTION, **settings):
    [result] = unmask.generate(model, [prompt], **settings)
    return result.text


def chat(client, question=QUESTION, **given):
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="tiny-fast", messages=messages, **given)


# The official client.


def test_the_client_chats_and_gets_the_offline_answer(client, model):
    answer = chat(client)
    assert answer.choices[0].message.content == offline(model)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens > answer.usage.forwards
    assert answer.usage.cached_positions > 0
    assert answer.model == "tiny-fast"


def test_answers_that_share_forwards_are_the_offline_ones(client, model):
    expected = [offline(model, question) for question in QUESTIONS]
    found = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: chat(client, QUESTIONS[at % 4])}))
        for at in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(12):
        assert found[at].choices[0].message.content == expected[at % 4]


def test_the_client_streams(client, model):
    with chat(client, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    assert text == offline(model)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage.total_tokens > 0
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"


def test_the_client_completes_and_fills_gaps(client, model):
    answer = client.completions.create(model="tiny-fast", prompt="Once upon", max_tokens=12)
    assert answer.choices[0].text == offline(model, "Once upon", raw=True, max_new_tokens=12)
    prompt, suffix = "Mia has 12 apples. So 12 + 7 =", ". The answer is 19."
    answer = client.completions.create(
        model="tiny-fast", prompt=prompt, suffix=suffix, max_tokens=1
    )
    expected = offline(model, unmask.Infill(1, suffix, prompt=prompt), raw=True)
    assert answer.choices[0].text + suffix == expected


def test_choices_and_seeds_repeat(client, model):
    first, second = (chat(client, n=3, seed=5, temperature=1.5) for _ in range(2))
    texts = [one.message.content for one in first.choices]
    assert texts == [one.message.content for one in second.choices]
    assert texts == [offline(model, seed=5 + at, temperature=1.5) for at in range(3)]


def test_stop_and_length_and_extra_settings(client, model):
    answer = chat(client, stop=[" Step 1"], extra_body={"preset": "vanilla"})
    whole = offline(model, preset="vanilla")
    assert answer.choices[0].message.content == whole[: whole.index(" Step 1")]
    assert answer.choices[0].finish_reason == "stop"
    answer = chat(client, max_completion_tokens=7, extra_body={"threshold": 0.5})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 7


def test_logprobs_spell_the_answer(client):
    choice = chat(client, logprobs=True).choices[0]
    assert "".join(one.token for one in choice.logprobs.content) == choice.message.content
    assert all(one.logprob <= 0 for one in choice.logprobs.content)


def test_errors_are_those_that_the_client_knows(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, tools=[{"type": "function", "function": {"name": "a"}}])
    assert (caught.value.param, caught.value.code) == ("tools", "unsupported_parameter")
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, temperature=-1)
    assert caught.value.param == "temperature"


def test_the_client_lists_the_model(client):
    assert [one.id for one in client.models.list()] == ["tiny-fast"]
    assert client.models.retrieve("tiny-fast").id == "tiny-fast"


def test_a_client_that_gives_up_frees_the_slot(server):
    before = server.metric("unmask_answers_total", reason="cancelled")
    with client_of(server, timeout=1.0) as client, pytest.raises(openai.APITimeoutError):
        chat(client, extra_body=LONG)
    until(lambda: server.metric("unmask_answers_total", reason="cancelled") == before + 1)
    until(lambda: server.metric("unmask_running") == 0)


def test_a_client_that_closes_its_stream_frees_the_slot(server, client):
    before = server.metric("unmask_answers_total", reason="cancelled")
    with chat(client, stream=True, extra_body=LONG) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
        until(lambda: server.metric("unmask_running") == 1)
    until(lambda: server.metric("unmask_answers_total", reason="cancelled") == before + 1)
    assert server.metric("unmask_running") == 0


def test_other_clients_work_with_it(server):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    done = subprocess.run(
        [curl, "-sS", f"{server.url}{CHAT}", "-H", "Content-Type: application/json", "-d",
         json.dumps({**BODY, "max_tokens": 8})],
        check=True, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert json.loads(done.stdout)["usage"]["completion_tokens"] == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "path", "more"),
    [
        ("local-chat-completions", CHAT, ""),
        ("local-completions", TEXT, f",tokenizer={builtin()['tiny-fast']}"),
    ],
)
def test_lm_eval_asks_the_server(server, tmp_path, kind, path, more):
    pytest.importorskip("tenacity")  # of lm-eval[api]
    for file in (ROOT / "tests/data/harness").iterdir():
        text = file.read_text().replace("HERE", str(tmp_path))
        (tmp_path / file.name).write_text(text)
    where = f"base_url={server.url}{path},model=tiny-fast,num_concurrent=2,max_retries=1{more}"
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", "--model", kind,
         "--model_args", where, "--include_path", str(tmp_path), "--tasks", "unmask_sums",
         "--apply_chat_template", "--output_path", str(tmp_path / "out")],
        check=False, capture_output=True, text=True, timeout=PATIENCE * 2,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [results] = (tmp_path / "out").rglob("results_*.json")
    found = json.loads(results.read_text())["results"]["unmask_sums"]
    assert found["exact_match,last-number"] == 1


# Faults.


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"messages": 5}', 400),
        (b"\x00\xff", 400),
        (json.dumps({"messages": [{"role": "user", "content": "a b " * 2_500_000}]}).encode(), 413),
        (json.dumps({"messages": [{"role": "user", "content": "a b " * 250_000}]}).encode(), 400),
        (json.dumps({**BODY, "model": "other"}).encode(), 404),
    ],
    ids=["malformed", "wrong type", "bytes", "10 MB", "1 MB", "unknown model"],
)  # fmt: skip
def test_bad_input_is_told_and_the_server_goes_on(server, content, status):
    found, _, body = server.post(CHAT, content)
    assert found == status
    assert json.loads(body)["error"]["message"]
    assert server.post(CHAT, {**BODY, "max_tokens": 4})[0] == 200


def test_an_endless_head_is_refused(server):
    host, port = server.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), PATIENCE)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.slow
def test_idle_sockets_lock_nobody_out_and_the_end_waits_for_no_half_body(tmp_path):
    half = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"
    with (
        serving(tmp_path / "log", "--slots", 1, "--drain", 0, descriptors=256) as served,
        ExitStack() as opened,
    ):
        host, port = served.url.removeprefix("http://").split(":")
        for sent in (b"", b"GET / HTTP/1.1\r\n", half):
            for _ in range(100):
                connection = socket.create_connection((host, int(port)), PATIENCE)
                opened.enter_context(closing(connection)).sendall(sent)
        assert served.post(CHAT, {**BODY, "max_tokens": 4})[0] == 200
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(PATIENCE) == 0
    assert (tmp_path / "log").read_text() == ""


def test_a_key_out_of_a_file_may_end_in_a_newline(tmp_path):
    with serving(tmp_path / "log", "--slots", 1, "--api-key", "secret\n") as served:
        assert served.post(CHAT, {}, Authorization="Bearer secret")[0] == 400
        assert served.post(CHAT, {}, Authorization="Bearer other")[0] == 401


def raw_post(served, path, body):
    """A connection with a tiny buffer that has asked and read nothing yet."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect((host, int(port)))
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def test_a_connection_that_breaks_frees_the_slot(server):
    before = server.metric("unmask_answers_total", reason="cancelled")
    for path, body in (
        (CANVAS, {"prompt": QUESTION}),
        (CHAT, {**BODY, "stream": True}),
        (CHAT, BODY),
    ):
        connection = raw_post(server, path, {**body, **LONG})
        until(lambda: server.metric("unmask_running") == 1)
        # Closing with unread data resets the connection, as a crash of the client would.
        connection.close()
        until(lambda: server.metric("unmask_running") == 0)
    assert server.metric("unmask_answers_total", reason="cancelled") == before + 3


@pytest.mark.slow
def test_a_slow_reader_holds_up_nobody_and_gets_everything(server, model):
    body = {"prompt": QUESTION, "preset": "vanilla", "max_tokens": 200}
    before = server.metric("unmask_answers_total", reason="done")
    with closing(raw_post(server, CANVAS, body)) as connection:
        until(lambda: server.metric("unmask_running") == 1)
        status, _, answer = server.post(CHAT, BODY)  # while nobody reads the other
        assert status == 200
        assert json.loads(answer)["choices"][0]["message"]["content"] == offline(model)
        until(lambda: server.metric("unmask_answers_total", reason="done") == before + 2)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.count(b"event: commit") == 200
    assert received.count(b"event: done") == 1


def test_a_full_queue_is_429_with_a_time_to_come_back(strict):
    key = {"Authorization": "Bearer secret"}
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(strict.post(CHAT, {**BODY, **LONG}, **key)))
        for _ in range(2)
    ]
    for at, thread in enumerate(threads):
        thread.start()
        until(lambda at=at: strict.metric("unmask_running") + strict.metric("unmask_waiting") > at)
    status, headers, body = strict.post(CHAT, BODY, **key)
    assert (status, json.loads(body)["error"]["type"]) == (429, "rate_limit_error")
    assert int(headers["retry-after"]) >= 1
    assert strict.metric("unmask_requests_total", outcome="busy") == 1
    for thread in threads:
        thread.join()
    for status, _, body in found:  # both ran into the time limit of this server
        assert (status, json.loads(body)["error"]["code"]) == (504, "timeout")
    assert strict.post(CHAT, {**BODY, "max_tokens": 4}, **key)[0] == 200


def test_a_key_is_asked_for(strict):
    with client_of(strict, "wrong") as client, pytest.raises(openai.AuthenticationError):
        chat(client)
    with client_of(strict, "secret") as client:
        answer = client.chat.completions.create(model="my/model", messages=MESSAGES, max_tokens=4)
        assert answer.model == client.models.retrieve("my/model").id == "my/model"


def test_a_late_stream_ends_with_an_error_that_the_client_raises(strict):
    with client_of(strict, "secret") as client:
        stream = client.chat.completions.create(
            model="my/model", messages=MESSAGES, stream=True, extra_body=LONG
        )
        with stream, pytest.raises(openai.APIError, match="3 s"):
            list(stream)


# Signals.


def answering(served, body):
    """A request on its way in a thread, and where its answer will be."""
    found = []
    thread = threading.Thread(target=lambda: found.append(served.post(CHAT, body)))
    thread.start()
    until(lambda: served.metric("unmask_running") == 1)
    return thread, found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_answers_finish(tmp_path, model, number):
    with serving(tmp_path / "log", "--drain", PATIENCE) as served:
        body = {**BODY, "preset": "vanilla", "max_tokens": 150}
        thread, found = answering(served, body)
        served.process.send_signal(number)
        thread.join()
        assert served.process.wait(PATIENCE) == 0
    status, _, answer = found[0]
    assert status == 200
    expected = offline(model, preset="vanilla", max_new_tokens=150)
    assert json.loads(answer)["choices"][0]["message"]["content"] == expected
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.slow
def test_what_is_not_done_in_time_is_told_so(tmp_path):
    with serving(tmp_path / "log", "--drain", 0.5) as served:
        thread, found = answering(served, {**BODY, **LONG})
        served.process.send_signal(signal.SIGTERM)
        thread.join()
        assert served.process.wait(PATIENCE) == 0
    assert found[0][0] == 503
    assert json.loads(found[0][2])["error"]["code"] == "closing"


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once_and_a_killed_server_starts_again(tmp_path):
    busy = {**BODY, **LONG}
    with (
        serving(tmp_path / "log", "--drain", PATIENCE) as served,
        closing(raw_post(served, CHAT, busy)),
    ):
        until(lambda: served.metric("unmask_running") == 1)
        served.process.send_signal(signal.SIGTERM)
        until(lambda: served.post(CHAT, BODY)[0] == 503)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(PATIENCE) == 128 + signal.SIGTERM
    port = served.url.rpartition(":")[2]
    with (  # the address is free again
        serving(tmp_path / "log", "--port", port) as served,
        closing(raw_post(served, CHAT, busy)),
    ):
        until(lambda: served.metric("unmask_running") == 1)
        served.process.kill()
        served.process.wait(PATIENCE)
    with serving(tmp_path / "log", "--port", port) as served:
        assert served.post(CHAT, {**BODY, "max_tokens": 4})[0] == 200


# The command.


def sentence(done):
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    return line


def test_a_port_in_use_is_one_sentence(server):
    port = server.url.rpartition(":")[2]
    line = sentence(commands.unmask("serve", "--port", port))
    assert port in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("tiny-slow",), "tiny-slow"),
        (("--port", 70000), "port"),
        (("--slots", 0), "slots"),
        (("--time-limit", 0), "time_limit"),
        (("--api-key", ""), "api-key"),
        (("--api-key", "schlüssel"), "api-key"),
        (("--api-key", "a\tb"), "api-key"),
        (("--cors", "https://a.example/"), "cors"),
        (("--cors", "a.example"), "cors"),
        (("--strategy", "low_entropy", "--threshold", "inf", "--port", 0), "threshold"),
        (("--preset", "fastest", "--port", 0), "preset"),
        (("--host", "no.such.host.invalid"), "host"),
    ],
)
def test_bad_options_are_one_sentence(arguments, named):
    assert named in sentence(commands.unmask("serve", *arguments))


def test_without_its_libraries_the_extra_is_named(tmp_path):
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('no', name='fastapi')")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = commands.as_process("serve", env={**os.environ, "PYTHONPATH": paths})
    assert "pip install 'unmask[serve]'" in sentence(done)


@pytest.mark.slow
def test_schemathesis_finds_no_500(server, tmp_path):
    st = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [st, "run", f"{server.url}/openapi.json", "--checks", "not_a_server_error",
         "--max-examples", "25", "--seed", "1", "--phases", "examples,coverage,fuzzing",
         "--mode", "all", "--request-timeout", "300", "--generation-database", "none",
         "--suppress-health-check", "all", "--continue-on-failure"],
        check=False, capture_output=True, text=True, timeout=3000, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert server.process.poll() is None
