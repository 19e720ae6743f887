"""Any order of submit, cancel, tick and fault: every request ends once, rightly, in its turn."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doubles import FakeDenoiser, model_of, sure_of
from unmask.decode.generate import prepare
from unmask.engine.engine import Engine
from unmask.errors import BusyError

SLOTS, WAITING, VOCABULARY, LENGTH = 3, 4, 64, 100
NAMES = VOCABULARY - 2  # far more than can be under way
PROMPTS = [1, 2, 80]  # where a long one is among them, a forward is two calls
PRESETS = ["vanilla", "fast-dllm", "d3llm"]


class EchoDenoiser(FakeDenoiser):
    """Answers every mask with the first token of the prompt, as the store knows it.

    ``sick``: names of rows that raise; ``fault_in``: so many calls until any raises, once;
    ``blamed``: who was alone then.
    A row whose keys were moved wrongly would write a neighbour's token.
    """

    def __init__(self):
        super().__init__(sure_of([0.8] * LENGTH, vocabulary=VOCABULARY))
        self.sick, self.blamed, self.fault_in = set(), set(), 0

    def __call__(self, ids_BQ, at_BQ, store, keep_BL, ask_BA):
        k_BQHD = ids_BQ[:, :, None, None].float()
        store.write(0, k_BQHD, k_BQHD, at_BQ)
        first_B = store.view(0)[0][:, 0].flatten().long()
        if self.sick & set(first_B.tolist()):
            raise RuntimeError("a sick row")
        self.fault_in -= 1
        if self.fault_in == 0:
            self.blamed |= set(first_B.tolist()) if len(first_B) == 1 else set()
            raise RuntimeError("a fault")
        logits_BAV = torch.zeros(*ask_BA.shape, VOCABULARY)
        logits_BAV[..., -1] = -1e9
        logits_BAV[torch.arange(len(first_B)), :, first_B] = 5.5  # a probability of 0.8
        return logits_BAV


class Ear:
    """``name``: its number and the token that it has to hear. ``most``: has had enough then."""

    def __init__(self, name, most, began):
        self.name, self.most, self.began = name, most, began
        self.heard, self.outcome, self.cancelled = 0, None, False

    def wrote(self, commit, canvas):
        assert self.outcome is None
        if not self.heard:
            self.began.append(self)
        self.heard += 1
        assert set(commit.tokens.tolist()) == {self.name}
        return self.heard == self.most

    def ended(self, outcome):
        assert self.outcome is None, "ended twice"
        self.outcome = outcome


class Machine(RuleBasedStateMachine):
    """Turns and forwards are called from here, so that hypothesis chooses when they happen."""

    def __init__(self):
        super().__init__()
        self.denoiser = EchoDenoiser()
        self.model = model_of(self.denoiser, 8, 4)
        self.engine = Engine(self.model, slots=SLOTS, waiting=WAITING)
        self.ears, self.tickets, self.began = [], [], []

    @rule(
        preset=st.sampled_from(PRESETS),
        prompt=st.sampled_from(PROMPTS),
        length=st.integers(1, 12),
        most=st.sampled_from([None, None, 1, 3]),
        sick=st.sampled_from([False, False, False, True]),
    )
    def submit(self, preset, prompt, length, most, sick):
        name = 1 + len(self.ears) % NAMES
        given = {"max_new_tokens": length, "block_length": 4}
        [row] = prepare(self.model, [[name] * prompt], preset, raw=True, overrides=given)
        before, ear = self.engine.statistics(), Ear(name, most, self.began)
        try:
            ticket = self.engine.submit(row, ear)
        except BusyError:
            assert before.waiting == WAITING + SLOTS - before.running
            return
        self.ears.append(ear)
        self.tickets.append(ticket)
        (self.denoiser.sick.add if sick else self.denoiser.sick.discard)(name)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def cancel(self, data):
        at = data.draw(st.integers(0, len(self.tickets) - 1))
        self.ears[at].cancelled = True
        self.engine.cancel(self.tickets[at])

    @rule(calls=st.integers(1, 3))
    def fault(self, calls):
        self.denoiser.fault_in = calls

    @rule()
    def tick(self):
        self.engine._stopping = True  # an idle turn would sleep
        self.engine._turn()
        self.engine._stopping = False
        left = [ear for ear in self.ears if ear.cancelled and not ear.outcome]
        assert not left, "a cancelled request is gone before the next forward"
        if self.engine.statistics().running:
            self.engine._forward()

    @invariant()
    def nobody_is_lost(self):
        now = self.engine.statistics()
        ended = sum(ear.outcome is not None for ear in self.ears)
        assert now.running <= SLOTS
        assert now.running + now.waiting + ended == len(self.ears)
        assert sum(now.ended.values()) == ended

    @invariant()
    def they_began_in_the_order_of_coming(self):
        assert self.began == [ear for ear in self.ears if ear.heard]

    def teardown(self):
        for _ in range(len(self.ears) * 12):  # so many tokens at most, one a forward
            self.tick()
        now = self.engine.statistics()
        assert (now.running, now.waiting) == (0, 0)
        for ear in self.ears:
            self.check(ear)

    def check(self, ear):
        reason, canvas = ear.outcome.reason, ear.outcome.row.canvas
        assert ear.heard == canvas.step == len(ear.outcome.row.fed)
        if reason == "failed":
            assert ear.name in self.denoiser.sick | self.denoiser.blamed
        elif reason == "enough":
            assert ear.heard == ear.most
        elif reason == "cancelled":
            assert ear.cancelled
        else:
            assert reason == "done"
            assert set(canvas.tokens_L.tolist()) == {ear.name}


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
