"""A job on the workers of a Ray cluster comes to what it comes to in one process, and replicas are
one server to OpenAI's client. In one module, for starting a cluster takes as long as the tests."""

import json
import logging
import os
import signal
import threading
from dataclasses import asdict
from functools import partial
from uuid import uuid4

import numpy as np
import pytest

from unmask import generate
from unmask.cli.main import main
from unmask.cluster.pool import Pool
from unmask.cluster.spread import Here
from unmask.distill.harvest import Harvest, harvest
from unmask.distill.intake import Shards
from unmask.distill.shards import read
from unmask.errors import ClusterError, InputError
from unmask.evaluate import examples as tasks
from unmask.evaluate.answers import Poll, records
from unmask.evaluate.run import Contestant
from unmask.models.loading import load, outline

ray = pytest.importorskip("ray", reason="needs unmask[ray]")
pytest.importorskip("ray.serve", reason="needs unmask[ray]")
openai = pytest.importorskip("openai", reason="needs openai")
from unmask.server import replicas  # noqa: E402 - it needs unmask[serve]
from unmask.server.run import bind  # noqa: E402
from unmask.server.settings import ServerSettings  # noqa: E402

pytestmark = pytest.mark.slow
TIMES = ("latency", "seconds")
MODEL = "tiny-fast", "cpu"
QUESTION = "Mia has {} apples. She buys 7 apples. How many apples does Mia have now?"
ANSWER = "The answer is 19."
ASKED = {"model": "tiny-fast", "messages": [{"role": "user", "content": QUESTION.format(12)}]}
PLAN = replicas.Plan(("tiny-fast", "cpu", "auto"), ServerSettings("tiny-fast"))


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # 15 lets other tests starve them
        patch.setenv("RAY_AUTH_TOKEN", uuid4().hex)  # or Ray leaves one in the home folder
        # CPUs in name: workers of one test go while those of the next come.
        ray.init(
            address="local", num_cpus=4, include_dashboard=False,
            log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def pool(cluster):
    with Pool(cluster, partial(load, *MODEL), workers=2, least=2, num_cpus=1) as found:
        yield found


@pytest.fixture(scope="module")
def model():
    return load(*MODEL)


def workers_of(pool):
    """Their process ids."""

    def tell(_, lot):  # within a function, so that it travels by value: workers know no tests
        return [(key, os.getpid()) for key in lot]

    return {pid for _, pid in pool(tell, dict.fromkeys(range(8)))}


def timeless(record):
    return {name: value for name, value in asdict(record).items() if name not in TIMES}


def test_a_killed_worker_costs_no_record_and_doubles_none(pool, model):
    task = tasks.find("stories")
    examples = dict(enumerate(tasks.examples(task, 40)))
    poll = Poll(task, "generate", 1)

    def contestant(about):
        return Contestant(about, "tiny-fast", "0" * 12, "d3llm", "tiny-fast d3llm", batch_size=2)

    known = list(records(contestant(model), poll, examples, {}, Here(model)))
    victim = min(workers_of(pool))
    found = []
    for record in records(contestant(outline("tiny-fast")), poll, examples, {}, pool):
        found.append(record)
        if len(found) == 3:
            os.kill(victim, signal.SIGKILL)
    assert victim not in workers_of(pool)
    found.sort(key=lambda record: record.index)
    known.sort(key=lambda record: record.index)
    assert [timeless(one) for one in found] == [timeless(one) for one in known]


def test_a_harvest_goes_on_in_the_other_way(pool, model, tmp_path):
    task = tasks.find("stories")
    examples = tasks.examples(task, 24, split="train")
    prompts = [example.prompt for example in examples]

    def check(index, text):
        return task.is_right(examples[index], text)

    limits = {"max_new_tokens": 96}
    how = Harvest("d3llm", limits, batch_size=2, shard_size=4, attempts=2, check=check)
    asked = dict(enumerate(prompts))
    list(harvest(Here(model, how.shard_size), asked, Shards(tmp_path / "one", {}), how))
    running = harvest(pool, asked, Shards(tmp_path / "two", {}), how)
    next(running)
    running.close()
    assert len(Shards(tmp_path / "two", {}).done()) == how.shard_size
    list(harvest(pool, dict(enumerate(prompts[:16])), Shards(tmp_path / "two", {}), how))
    list(harvest(Here(model, how.shard_size), asked, Shards(tmp_path / "two", {}), how))
    one, two = (
        sorted(read(tmp_path / name), key=lambda sample: sample.index) for name in ("one", "two")
    )
    assert [sample.index for sample in two] == list(range(24))
    for ours, theirs in zip(one, two, strict=True):
        assert np.array_equal(ours.tokens_L, theirs.tokens_L)
        assert np.array_equal(ours.born_L, theirs.born_L)
        assert (ours.forwards, ours.correct, ours.temperature) == (
            theirs.forwards, theirs.correct, theirs.temperature,
        )  # fmt: skip


@pytest.mark.usefixtures("cluster")
def test_a_file_of_records_is_the_same_to_both_ways(tmp_path):
    command = ["eval", "--model", "tiny-fast", "--device", "cpu", "--count", "6"]
    command += ["--out", str(tmp_path / "out.jsonl")]
    assert main([*command, "--ray", "--workers", "1"]) == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    assert before.count(b"\n") == 6
    assert main(command) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == before


@pytest.mark.usefixtures("cluster")
def test_a_batch_is_answered_by_a_worker(model, tmp_path):
    texts = [QUESTION.format(number) for number in range(2, 10)]
    given, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    with given.open("w") as file:
        for number, text in enumerate([*texts, None]):
            body = {"messages": [{"role": "user", "content": text}], "max_tokens": 96}
            line = {"custom_id": str(number), "url": "/v1/chat/completions", "body": body}
            print(json.dumps(line), file=file)
    command = ["batch", str(given), str(out), "--slots", "1", "--device", "cpu"]
    assert main([*command, "--ray", "--workers", "1"]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    found = {line["custom_id"]: line["response"] for line in lines}
    assert len(lines) == len(found) == 9
    assert found["8"]["status_code"] == 400
    for number, result in enumerate(generate(model, texts, max_new_tokens=96)):
        assert found[str(number)]["body"]["choices"][0]["message"]["content"] == result.text


def test_what_a_worker_cannot_load_is_told_in_a_sentence(cluster):
    loading = partial(load, "tiny-fast", "cpu", "float99")
    with (
        Pool(cluster, loading, workers=1, least=1, num_cpus=1) as pool,
        pytest.raises(InputError, match=r"^dtype='float99'"),
    ):
        workers_of(pool)


def test_work_that_ends_every_worker_is_given_up(cluster):
    def die(_, lot):
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    with (
        Pool(cluster, dict, workers=1, least=1, num_cpus=1) as pool,
        pytest.raises(ClusterError, match="2 workers were lost one after another"),
    ):
        list(pool(die, {1: None}))


def deploy():
    replicas.deploy(PLAN, 2, {"num_cpus": 1}, drain=30)


@pytest.fixture(scope="module")
def client(cluster):
    with bind("127.0.0.1", 0) as free:
        host, port = free.getsockname()
    replicas.start(host, port)
    deploy()
    assert replicas.listening(host, port)
    # No second try of the client's own: a failed request has to be seen.
    with openai.OpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=0) as found:
        yield found
    replicas.withdraw(shared=False)
    assert not replicas.listening(host, port)


def test_a_chat_streamed_or_whole(client):
    whole = client.chat.completions.create(**ASKED).choices[0].message.content
    assert whole.endswith(ANSWER)
    with client.chat.completions.create(**ASKED, stream=True) as stream:
        parts = [event.choices[0].delta.content or "" for event in stream]
    assert "".join(parts) == whole
    assert sum(bool(part) for part in parts) > 1


def test_no_request_fails_while_replicas_are_replaced(client):
    over, right, wrong = threading.Event(), [], []

    def ask():
        while not over.is_set():
            try:
                answer = client.chat.completions.create(**ASKED).choices[0].message.content
                (right if answer.endswith(ANSWER) else wrong).append(answer)
            except Exception as error:
                wrong.append(error)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for one in asking:
        one.start()
    try:
        created = client.models.retrieve("tiny-fast").created
        deploy()
        assert client.models.retrieve("tiny-fast").created > created  # it is another process
    finally:
        over.set()
        for one in asking:
            one.join()
    assert wrong == []
    assert len(right) > 2
