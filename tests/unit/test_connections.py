"""Clients that do not say what they want, or take for ever to: nobody else is kept waiting."""

import asyncio
import gc
import json
import logging
import socket
import threading
from contextlib import ExitStack, closing, contextmanager

import pytest

from unmask.server import run
from unmask.server.limits import BodyLimit

PATIENCE = 60
HEAD = b"GET /health HTTP/1.1\r\nHost: a\r\n"
HALF = b'POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"messages": '


async def fine(scope, receive, send):
    """An application that answers everything, shortly or with more than a socket holds."""
    assert scope["type"] in ("http", "lifespan")
    if scope["type"] == "lifespan":
        return
    await receive()
    long = scope["path"] == "/long"
    headers = [] if long else [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(500 if long else 0):
        await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"fine"})


@contextmanager
def serving(seconds=PATIENCE):
    """The server in a thread, around `fine`; ends as after a signal."""
    left = []
    app = BodyLimit(fine, 2000, PATIENCE, left.append)
    ready = threading.Event()
    server = run.Server(app, None, 0, seconds, ready.set)
    with run.bind("127.0.0.1", 0) as bound:
        server.left, server.port = left, bound.getsockname()[1]
        thread = threading.Thread(target=lambda: server.run([bound]))
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield server
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            gc.unfreeze()
    assert not thread.is_alive()


def connected(server, sent=b""):
    connection = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    connection.sendall(sent)
    return connection


def everything(connection):
    """All that comes until the server closes the connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def is_served(connection):
    """Ask on this connection, which is kept."""
    connection.sendall(HEAD + b"\r\n")
    answer = b""
    while not answer.endswith(b"fine"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    return answer.startswith(b"HTTP/1.1 200")


@pytest.fixture(autouse=True)
def _silence(caplog):
    """Whatever clients do, the log stays empty."""
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.text == ""


@pytest.mark.parametrize("sent", [HEAD, b"G"], ids=["a head without an end", "one letter"])
def test_a_head_that_never_ends_is_408(sent):
    with serving(0.1) as server, closing(connected(server, sent)) as connection:
        head, _, body = everything(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout")
    assert json.loads(body)["error"]["code"] == "head_too_late"


def test_a_head_that_drips_gets_no_more_time():
    with serving(0.2) as server, closing(connected(server, HEAD)) as connection:
        connection.settimeout(0.01)
        answer = b""
        while not answer:
            connection.sendall(b"X: a\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_connection_on_which_nothing_comes_is_closed():
    with serving(0.1) as server, closing(connected(server)) as connection:
        assert everything(connection) == b""


def test_a_second_head_has_to_end_as_well_but_may_be_long_in_coming():
    with serving(0.1) as server, closing(connected(server)) as connection:
        assert is_served(connection)
        with closing(connected(server)) as other:
            assert everything(other) == b""  # it came later, and its time is over
        assert is_served(connection)
        connection.sendall(HEAD)
        assert everything(connection).startswith(b"HTTP/1.1 408")


def test_a_part_of_a_head_that_came_with_the_request_before_has_to_go_on():
    asked = HEAD + b"\r\n"
    with serving(0.1) as server, closing(connected(server, asked + HEAD)) as connection:
        answers = everything(connection)
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answers


@pytest.mark.parametrize("sent", [b"", HEAD, HALF], ids=["nothing", "heads", "bodies"])
def test_whoever_is_silent_makes_room_for_whoever_asks(monkeypatch, sent):
    monkeypatch.setattr(run, "free_descriptors", lambda: 30)
    with serving() as server, ExitStack() as opened:
        silent = [opened.enter_context(closing(connected(server, sent))) for _ in range(60)]
        with closing(connected(server)) as connection:
            assert is_served(connection)
        assert len(server.server_state.connections) <= 30
        assert everything(silent[0]) == b""  # the one that was silent for longest
    assert {error.status for error in server.left} <= {499}  # nobody was there to hear of it


def test_where_nobody_is_silent_the_server_says_that_it_is_full(monkeypatch):
    monkeypatch.setattr(run, "free_descriptors", lambda: 3)
    monkeypatch.setattr(run, "FLUSH", 0.1)
    with serving() as server, ExitStack() as opened:
        for _ in range(2):
            asked = b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"
            opened.enter_context(closing(connected(server, asked))).recv(1)
        with closing(connected(server)) as connection:
            head, _, body = everything(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in head.lower()
        assert json.loads(body)["error"]["code"] == "too_many_connections"


def test_without_a_limit_there_is_always_room(monkeypatch):
    monkeypatch.setattr(run, "free_descriptors", lambda: None)
    with serving() as server, closing(connected(server)) as silent:
        with closing(connected(server)) as connection:
            assert is_served(connection)
        assert is_served(silent)


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HALF, b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["nothing", "head", "body", "a reader that stands still"],
)  # fmt: skip
def test_the_end_waits_for_nobody_who_is_silent(monkeypatch, sent):
    monkeypatch.setattr(run, "FLUSH", 0.1)
    with serving() as server:
        connection = connected(server, sent)
        with closing(connected(server)) as other:
            assert is_served(other)
    connection.close()  # after the server's end, and after it logged nothing
    assert not server.server_state.tasks


def test_a_body_that_is_cut_short_never_reaches_the_application():
    async def call():
        told = [{"type": "http.request", "body": b"{}", "more_body": True}]
        told.append({"type": "http.disconnect"})
        left = []

        async def receive():
            return told.pop(0)

        layer = BodyLimit(None, 100, PATIENCE, left.append)
        await layer({"type": "http", "headers": []}, receive, None)
        return left

    [error] = asyncio.run(call())
    assert error.status == 499
