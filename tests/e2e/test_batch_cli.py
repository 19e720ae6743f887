"""unmask batch: OpenAI's batch format, resumed without a lost or doubled answer."""

import json
import signal
import time

import pytest

import commands
from unmask import generate
from unmask.files import growing
from unmask.models.loading import load

pytest.importorskip("fastapi")
QUESTION = "Mia has {} apples. She buys 7 apples. How many apples does Mia have now?"


def batch(*arguments):
    return commands.unmask("batch", *arguments)


def request(name, text="Hello", url="/v1/chat/completions", **more):
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 96, **more}
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def write(path, requests):
    path.write_text("".join(json.dumps(one) + "\n" for one in requests))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_answers_are_those_of_generate(tmp_path):
    texts = [QUESTION.format(number) for number in range(2, 8)]
    asked = [request(str(number), text) for number, text in enumerate(texts)]
    asked.append(request("odd", colour="red"))
    done = batch(write(tmp_path / "in.jsonl", asked), tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert "7 answers, 1 of them refused" in done.stderr
    found = {line["custom_id"]: line["response"] for line in lines(tmp_path / "out.jsonl")}
    assert found["odd"]["status_code"] == 400
    assert found["odd"]["body"]["error"]["param"] == "colour"
    known = generate(load("tiny-fast"), texts, max_new_tokens=96)
    for number, result in enumerate(known):
        body = found[str(number)]["body"]
        assert body["choices"][0]["message"]["content"] == result.text
        assert body["usage"]["completion_tokens"] == result.tokens


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_batch_goes_on(how, tmp_path):
    how_long = {"preset": "vanilla", "max_tokens": 64}
    asked = [request(str(number), QUESTION.format(number), **how_long) for number in range(6)]
    given = write(tmp_path / "in.jsonl", asked), tmp_path / "out.jsonl", "--slots", 1
    running = commands.started("batch", *given)
    deadline = time.monotonic() + 120
    while not (given[1].exists() and given[1].read_bytes().count(b"\n") >= 2):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert "Traceback" not in said
    before = given[1].read_bytes()
    done = batch(*given)
    assert done.returncode == 0, done.stderr
    assert given[1].read_bytes().startswith(before[: before.rindex(b"\n")])
    assert sorted(line["custom_id"] for line in lines(given[1])) == [str(n) for n in range(6)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([request("a"), request("a")], "'a' stands there twice"),
        ([request("")], "custom_id=''"),
        ([request("a", url="/v1/embeddings")], "'/v1/embeddings' cannot be asked"),
        ([request("a", stream=True)], "without stream"),
        ([{"custom_id": "a", "url": "/v1/completions", "body": 3}], "has to be an object"),
    ],
)
def test_bad_requests(asked, said, tmp_path):
    done = batch(write(tmp_path / "in.jsonl", asked), tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.slow
def test_odd_bodies_are_refused_and_many_choices_are_not(tmp_path):
    prompt, url = {"prompt": "Hi", "max_tokens": 4}, "/v1/completions"
    bodies = [prompt | {"temperature": float("nan")}, prompt | {"\ud800": 1}]
    bodies += [prompt | {"n": 6, "temperature": 1.0}] * 4
    asked = [{"custom_id": str(at), "url": url, "body": body} for at, body in enumerate(bodies)]
    done = batch(write(tmp_path / "in.jsonl", asked), tmp_path / "out.jsonl", "--slots", 2)
    assert done.returncode == 0, done.stderr
    found = {one["custom_id"]: one["response"] for one in lines(tmp_path / "out.jsonl")}
    assert [found[str(at)]["status_code"] for at in range(6)] == [400] * 2 + [200] * 4


def test_an_output_of_something_else_is_kept(tmp_path):
    given = write(tmp_path / "in.jsonl", [request("a")]), tmp_path / "out.jsonl"
    for text in ("notes\n", '{"id": "batch_req_0", "custom_id": "a"}\n', "half", "a\nb"):
        given[1].write_text(text)
        done = batch(*given)
        assert done.returncode == 2
        assert given[1].read_text() == text


def test_an_output_that_another_run_writes_is_refused(tmp_path):
    given = write(tmp_path / "in.jsonl", [request("a")]), tmp_path / "out.jsonl"
    with growing(given[1]):
        done = batch(*given)
    assert done.returncode == 2
    assert "is being written by another run" in done.stderr
