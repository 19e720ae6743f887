"""The engine: every answer as if alone, slots freed at once, nobody lost, nobody killed."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles import FakeDenoiser, model_of, sure_of
from unmask import InputError, generate
from unmask.decode.generate import prepare
from unmask.engine.engine import Engine
from unmask.engine.estimate import next_end
from unmask.engine.line import Line
from unmask.engine.ticket import Ticket
from unmask.errors import BusyError, ClosingError, DecodeError, PromptError
from unmask.models.loading import load
from unmask.models.store import KeyValueStore, StoreSize

PATIENCE = 120


class Ear:
    """Notes what it hears; ``most``: forwards after which it has had enough."""

    def __init__(self, most=None):
        self.commits, self.outcome, self.most = [], None, most
        self.over, self.begun = threading.Event(), threading.Event()

    def wrote(self, commit, canvas):
        self.commits.append(commit)
        self.begun.set()
        return self.most is not None and len(self.commits) >= self.most

    def ended(self, outcome):
        assert self.outcome is None, "ended twice"
        self.outcome = outcome
        self.over.set()

    def wait(self):
        assert self.over.wait(PATIENCE)
        return self.outcome


@pytest.fixture
def start():
    engines = []

    def build(model, **given):
        engines.append(Engine(model, **given))
        engines[-1].start()
        return engines[-1]

    yield build
    for engine in engines:
        engine.drain(PATIENCE)


def rows_of(model, prompts, preset="vanilla", **overrides):
    return prepare(model, prompts, preset, raw=False, overrides=overrides)


def slow_model(positions=4000):
    """A fake that needs as many forwards as there are masks, so that there is time to meddle."""
    return model_of(FakeDenoiser(sure_of([0.8] * positions, tokens=[1] * positions)), 1000, 1000)


PRESETS = [
    ("vanilla", {}),
    ("fast-dllm", {"cache": "dual"}),
    ("fast-dllm", {"cache": "prefix", "threshold": 0.5}),
    ("dparallel", {}),
    ("d3llm", {}),
    ("d3llm", {"cache": "sliding"}),
    ("fast-dllm", {"temperature": 0.8, "seed": 3}),
]


@pytest.mark.parametrize("name", ["llada-tiny", "dream-tiny"])
@settings(max_examples=8)
@given(data=st.data())
def test_every_answer_is_that_of_the_row_alone(models, name, data):
    """Whatever shares the batch, in whatever order it came."""
    model = models[name]
    jobs = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(PRESETS),
                st.lists(st.integers(0, 90), min_size=1, max_size=9),
                st.sampled_from([8, 16, 24]),
                st.sampled_from([None, None, 2]),  # some leave early
            ),
            min_size=2,
            max_size=9,
        )
    )
    engine = Engine(model, slots=data.draw(st.integers(1, 4)), length=40)
    ears = []
    for (preset, given_), prompt, length, most in jobs:
        [row] = rows_of(model, [prompt], preset, max_new_tokens=length, block_length=8, **given_)
        ears.append(Ear(most))
        engine.submit(row, ears[-1])
    engine.start()
    assert engine.drain(PATIENCE)
    for ((preset, given_), prompt, length, most), ear in zip(jobs, ears, strict=True):
        [alone] = generate(model, [prompt], preset, max_new_tokens=length, block_length=8, **given_)
        canvas, film = ear.outcome.row.canvas, alone.trajectory
        forwards = min(most or alone.forwards, alone.forwards)
        assert len(ear.commits) == canvas.step == forwards
        if forwards == alone.forwards:
            assert canvas.tokens_L.tolist() == film.tokens_L.tolist()
            assert canvas.born_L.tolist() == film.born_L.tolist()
            assert ear.outcome.reason == "done"
        else:
            assert ear.outcome.reason == "enough"
    counts = engine.statistics()
    assert (counts.running, counts.waiting) == (0, 0)
    assert sum(counts.ended.values()) == len(jobs)
    assert counts.row_forwards == sum(len(ear.commits) for ear in ears)


def test_requests_that_come_while_others_run(start):
    model = load("tiny-fast")
    engine = start(model, slots=3)
    question = "Mia has 12 apples. She buys {} apples. How many apples does Mia have now?"
    prompts = [question.format(number) for number in range(3, 15)]
    alone = generate(model, prompts, max_new_tokens=96, batch_size=1)
    ears = []
    for prompt in prompts:
        [row] = rows_of(model, [prompt], "d3llm", max_new_tokens=96)
        ears.append(Ear())
        engine.submit(row, ears[-1])
        if len(ears) % 4 == 0:
            ears[-1].wait()
    for ear, one in zip(ears, alone, strict=True):
        assert ear.wait().row.canvas.tokens_L.tolist() == one.trajectory.tokens_L.tolist()


def test_a_cancelled_row_frees_its_slot(start):
    model = slow_model()
    engine = start(model, slots=1)
    first, second = Ear(), Ear(most=1)
    ticket = engine.submit(rows_of(model, [[0]])[0], first)
    engine.submit(rows_of(model, [[0]])[0], second)
    assert first.begun.wait(PATIENCE)
    engine.cancel(ticket)
    engine.cancel(ticket)
    assert first.wait().reason == "cancelled"
    assert second.wait().reason == "enough"
    assert len(first.commits) < 1000


def test_who_waits_can_be_cancelled(start):
    model = slow_model()
    engine = start(model, slots=1)
    ears = [Ear(), Ear()]
    tickets = [engine.submit(rows_of(model, [[0]])[0], ear) for ear in ears]
    assert ears[0].begun.wait(PATIENCE)
    engine.cancel(tickets[1])
    assert ears[1].wait().reason == "cancelled"
    assert not ears[1].commits
    engine.cancel(tickets[0])


def test_a_time_limit_ends_a_row(start):
    model = slow_model()
    engine = start(model)
    ear = Ear()
    engine.submit(rows_of(model, [[0]])[0], ear, seconds=0.05)
    assert ear.wait().reason == "late"


def test_the_line_has_an_end(start):
    model = slow_model()
    engine = start(model, slots=1, waiting=2)
    ears = [Ear() for _ in range(3)]
    tickets = [engine.submit(rows_of(model, [[0]])[0], ears[0])]
    assert ears[0].begun.wait(PATIENCE)
    tickets += [engine.submit(rows_of(model, [[0]])[0], ear) for ear in ears[1:]]
    with pytest.raises(BusyError, match="2 requests wait already") as caught:
        engine.submit(rows_of(model, [[0]])[0], Ear())
    assert caught.value.retry_after >= 1
    for ticket in tickets:
        engine.cancel(ticket)


@pytest.mark.parametrize("ended", [[], [1.0], [1.0, 1.1, 1.2]], ids=["none", "one", "quick ones"])
def test_the_wait_is_that_for_the_next_end(ended):
    """Two answers of 100 and 40 positions began 10 s ago and have written 20 each."""
    model, running = slow_model(), []
    for length in (100, 40):
        [row] = prepare(model, [[0]], "vanilla", raw=True, overrides={"max_new_tokens": length})
        row.canvas = row.canvas.commit(row.canvas.open[:20], np.ones(20, dtype=np.int64))
        running.append(Ticket(row, Ear(), 0.0, None, started=90.0))
    assert next_end(running, ended, 100.0) == 10.0  # 20 more of the second, at 2 a second
    assert next_end(running[:1], ended, 100.0) == 40.0
    running[0].deadline = 107.0
    assert next_end(running[:1], ended, 100.0) == 7.0


def test_of_answers_that_have_just_begun_earlier_ones_tell():
    [row] = rows_of(slow_model(), [[0]])
    running = [Ticket(row, Ear(), 0.0, None, started=90.0)]
    assert next_end(running, [], 100.0) == 1.0
    assert next_end(running, [5.0, 17.0, 21.0], 100.0) == 8.0
    assert next_end(running, [0.0, 1000.0], 100.0) == 60.0


def test_idle_hours_do_not_lengthen_the_wait(start, monkeypatch):
    hours, own = [0.0], time.monotonic
    clock = SimpleNamespace(monotonic=lambda: own() + 3600 * hours[0])
    monkeypatch.setattr("unmask.engine.engine.time", clock)
    model = slow_model()
    engine = start(model, slots=4, waiting=0)
    for _ in range(3):
        ear = Ear(most=1)
        engine.submit(rows_of(model, [[0]])[0], ear)
        assert ear.wait().reason == "enough"
        hours[0] += 1
    tickets = [engine.submit(rows_of(model, [[0]])[0], Ear()) for _ in range(4)]
    with pytest.raises(BusyError) as caught:
        engine.submit(rows_of(model, [[0]])[0], Ear())
    assert caught.value.retry_after < 60
    for ticket in tickets:
        engine.cancel(ticket)


def test_without_a_line_free_slots_still_serve(start):
    model = slow_model()
    engine = start(model, slots=2, waiting=0)
    ear = Ear(most=1)
    engine.submit(rows_of(model, [[0]])[0], ear)
    assert ear.wait().reason == "enough"


@settings(max_examples=50)
@given(moves=st.lists(st.one_of(st.just("join"), st.integers(0, 3)), max_size=60))
def test_a_line_serves_in_the_order_of_coming(moves):
    line, came, served = Line(5), [], []
    for move in moves:
        if move == "join":
            ticket = Ticket(None, None, 0.0, None)
            try:
                line.join(ticket, 0, 1.0)
                came.append(ticket)
            except BusyError:
                assert len(line) == 5
        else:
            served += line.admit(move)
    served += line.admit(len(line))
    assert [id(one) for one in served] == [id(one) for one in came]


def test_a_poisoned_row_dies_alone(models, start, monkeypatch):
    model = models["llada-tiny"]
    [healthy, sick] = rows_of(model, [[1, 2], [3, 66]], max_new_tokens=8, block_length=8)
    calls = type(model.denoiser).forward

    def forward(self, ids_BQ, *rest, **named):
        if (ids_BQ == 66).any():
            raise RuntimeError("poison")
        return calls(self, ids_BQ, *rest, **named)

    monkeypatch.setattr(type(model.denoiser), "forward", forward)
    engine = start(model, slots=4, length=40)
    ears = [Ear(), Ear()]
    engine.submit(healthy, ears[0])
    engine.submit(sick, ears[1])
    assert ears[1].wait().reason == "failed"
    assert "poison" in str(ears[1].outcome.error)
    [alone] = generate(model, [[1, 2]], "vanilla", max_new_tokens=8, block_length=8)
    done = ears[0].wait()
    assert done.row.canvas.tokens_L.tolist() == alone.trajectory.tokens_L.tolist()
    assert sum(done.row.fed) == alone.fed_positions
    again = Ear()
    engine.submit(rows_of(model, [[1, 2]], max_new_tokens=8, block_length=8)[0], again)
    assert again.wait().reason == "done"


def test_a_row_of_nan_fails_alone(start):
    logits = sure_of([0.8] * 40, tokens=[1] * 40)
    logits[30:] = torch.nan  # only a long row gets there
    model = model_of(FakeDenoiser(logits), 8, 8)
    engine = start(model, slots=2)
    short, long = (rows_of(model, [[0] * size], max_new_tokens=8)[0] for size in (2, 25))
    ears = [Ear(), Ear()]
    engine.submit(short, ears[0])
    engine.submit(long, ears[1])
    assert isinstance(ears[1].wait().error, DecodeError)
    assert ears[0].wait().reason == "done"


def test_a_row_of_nan_leaves_none_to_the_next_in_its_slot(models, start, monkeypatch):
    """The next one sees a mask before what the last one wrote, and 0 * NaN is NaN."""
    model = models["llada-tiny"]
    [embedding] = [one for one in model.denoiser.modules() if isinstance(one, torch.nn.Embedding)]
    look_up = embedding.forward

    def forward(ids_BQ):
        return look_up(ids_BQ).masked_fill((ids_BQ == 67).any(1)[:, None, None], torch.nan)

    monkeypatch.setattr(embedding, "forward", forward)
    engine, sick, next_ = start(model, slots=1, length=40), Ear(), Ear()
    engine.submit(rows_of(model, [[67] * 16], max_new_tokens=24, block_length=8)[0], sick)
    assert isinstance(sick.wait().error, DecodeError)
    far = {"max_new_tokens": 32, "block_length": 8, "horizon": 1}  # the far blocks are not fed
    engine.submit(rows_of(model, [[1, 2]], "d3llm", **far)[0], next_)
    assert next_.wait().reason == "done"


class LostStore(KeyValueStore):
    """Of a device that is gone."""

    def move(self, source, target):
        raise RuntimeError("the device is lost")


class LostDenoiser(FakeDenoiser):
    def new_store(self, rows, length):
        return LostStore(StoreSize(1, rows, length, 1, 1), torch.float32, self.device)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_device_ends_every_request_once():
    model = model_of(LostDenoiser(sure_of([0.8] * 40, tokens=[1] * 40)), 8, 8)
    engine, ears = Engine(model, slots=3), [Ear(most) for most in (1, None, None, None)]
    for ear in ears:
        engine.submit(rows_of(model, [[0]])[0], ear)
    engine.start()
    assert [ear.wait().reason for ear in ears] == ["enough", "failed", "failed", "failed"]
    assert engine.drain(PATIENCE)
    assert (engine.accepting, engine.statistics().running) == (False, 0)
    assert engine.broken


def test_a_listener_that_raises_harms_nobody(start):
    class Deaf(Ear):
        def wrote(self, commit, canvas):
            raise ValueError("cannot hear")

    model = slow_model()
    engine = start(model, slots=2)
    deaf, ear = Deaf(), Ear(most=3)
    engine.submit(rows_of(model, [[0]])[0], deaf)
    engine.submit(rows_of(model, [[0]])[0], ear)
    assert deaf.wait().reason == "enough"
    assert ear.wait().reason == "enough"


def test_draining_lets_rows_end_and_takes_no_more():
    model = load("tiny-fast")
    engine, ear = Engine(model), Ear()
    [row] = rows_of(model, ["Mia has 3 apples. How many?"], "d3llm", max_new_tokens=96)
    engine.submit(row, ear)
    engine.start()
    assert engine.drain(PATIENCE)
    assert ear.outcome.reason == "done"
    assert not engine.broken
    with pytest.raises(ClosingError):
        engine.submit(rows_of(model, ["Again?"], "d3llm", max_new_tokens=96)[0], Ear())
    assert not engine.accepting


def test_draining_without_patience_ends_what_is_left():
    model = slow_model()
    engine, ears = Engine(model, slots=1), [Ear(), Ear()]
    for ear in ears:
        engine.submit(rows_of(model, [[0]])[0], ear)
    engine.start()
    assert ears[0].begun.wait(PATIENCE)
    assert not engine.drain(0)
    assert [ear.wait().reason for ear in ears] == ["closing", "closing"]
    assert isinstance(ears[1].outcome.error, ClosingError)


def test_a_row_that_does_not_fit(models):
    engine = Engine(models["llada-tiny"], length=16)
    [row] = rows_of(models["llada-tiny"], [[1] * 10], max_new_tokens=8, block_length=8)
    with pytest.raises(PromptError, match="18 positions and 16 fit"):
        engine.submit(row, Ear())
    with pytest.raises(InputError, match="slots=0"):
        Engine(models["llada-tiny"], slots=0)


def test_a_sampled_row_repeats_after_a_failed_forward(models, start, monkeypatch):
    """A forward that is tried again draws the same noise again."""
    model = models["llada-tiny"]
    given_ = {"temperature": 1.0, "seed": 5, "max_new_tokens": 8, "block_length": 8}
    [alone] = generate(model, [[1, 2]], "vanilla", **given_)
    rows = rows_of(model, [[1, 2], [3, 66]], **given_)
    from unmask.decode import step as module

    propose, tries = module.propose, []

    def once(*given, **named):
        found = propose(*given, **named)
        if not tries:
            tries.append(1)
            raise RuntimeError("after the draw")
        return found

    monkeypatch.setattr(module, "propose", once)
    engine, ears = Engine(model, slots=2, length=40), [Ear(), Ear()]
    for row, ear in zip(rows, ears, strict=True):
        engine.submit(row, ear)
    engine.start()
    assert engine.drain(PATIENCE)
    assert tries
    assert ears[0].outcome.row.canvas.tokens_L.tolist() == alone.trajectory.tokens_L.tolist()
    assert ears[0].outcome.reason == "done"
