"""Many requests, one model: every forward is shared by all who are under way.

One thread owns the model. Before each forward finished and cancelled rows leave, waiting ones take
their slots; rows of different presets, lengths, temperatures and phases go through the model
together, and each is written as it would be alone (fp32, temperature 0; with a temperature it draws
from a generator of its own).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from unmask.canvas.events import Commit
from unmask.decode.loop import seeded, vacate
from unmask.decode.settings import whole_number
from unmask.decode.step import Row, step
from unmask.engine.estimate import next_end
from unmask.engine.line import Line, is_over
from unmask.engine.ticket import Listener, Outcome, Reason, Ticket
from unmask.engine.trial import restored, saved
from unmask.errors import ClosingError, PromptError
from unmask.models.loading import Model

LOG = logging.getLogger(__name__)
GRACE = 10.0
"""Seconds for the forward that is under way to end."""
RECENT = 64
"""Ended requests that the estimate of a waiting time looks back on."""


@dataclass(frozen=True)
class Statistics:
    """Counts since the start, and who is where now.

    ``forwards``: calls of `unmask.decode.step`; ``row_forwards``: rows summed over these.
    ``busy_seconds``: spent in them. ``ended``: requests by reason.
    """

    running: int
    waiting: int
    slots: int
    forwards: int
    row_forwards: int
    fed_positions: int
    cached_positions: int
    tokens_written: int
    busy_seconds: float
    ended: dict[Reason, int]


class Engine:
    """``slots`` rows share a forward; ``length`` positions fit into one of them, prompt and answer
    (None: what the model takes); ``waiting`` requests may queue."""

    def __init__(
        self, model: Model, *, slots: int = 16, length: int | None = None, waiting: int = 256
    ) -> None:
        for name, value, least in (("slots", slots, 1), ("waiting", waiting, 0)):
            whole_number(name, value, least, f"a whole number of at least {least}")
        self.model = model
        self.slots = slots
        self.length = min(length or model.card.max_length, model.card.max_length)
        self._line = Line(waiting)
        self._running: list[Ticket] = []
        self._changed = threading.Condition()
        self._accepting = True
        self._stopping = False
        self._broken = False
        self._thread = threading.Thread(target=self._live, name="unmask-engine", daemon=True)
        self._counts: Counter[str] = Counter()
        self._ended: Counter[Reason] = Counter()
        self._busy = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._store = model.denoiser.new_store(slots, self.length)

    # What other threads call.

    @property
    def accepting(self) -> bool:
        """Whether new requests are taken."""
        return self._accepting

    @property
    def capacity(self) -> int:
        """Rows that may be under way and in the queue."""
        return self.slots + self._line.most

    @property
    def broken(self) -> bool:
        """Whether the thread came to grief: nobody will be served again."""
        return self._broken

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, row: Row, listener: Listener, *, seconds: float | None = None) -> Ticket:
        """Take a row in; ``seconds``: it ends after so many, done or not.

        Raises:
            BusyError: too many are waiting.
            ClosingError: the engine is closing.
            PromptError: the row is longer than a slot.
        """
        if len(row.canvas) > self.length:
            raise PromptError(
                f"prompt and answer have {len(row.canvas)} positions and {self.length} fit; "
                "shorten the prompt or lower max_tokens"
            )
        now = time.monotonic()
        ticket = Ticket(row, listener, now, None if seconds is None else now + seconds)
        with self._changed:
            if not self._accepting:
                raise ClosingError("the server is closing; ask another one or come back later")
            free = self.slots - len(self._running)
            self._line.join(ticket, free, next_end(self._running, self._recent, now))
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Free its slot before the next forward; harmless when it has ended."""
        with self._changed:
            ticket.cancelled = True
            self._changed.notify()

    def drain(self, seconds: float) -> bool:
        """Take no more requests, let those that are in end, stop the thread.

        What is left after ``seconds`` ends with reason "closing". True if nothing was. A thread
        that a device keeps is left behind after `GRACE` more.
        """
        with self._changed:
            self._accepting = False
            over = self._changed.wait_for(
                lambda: not self._running and not len(self._line), timeout=seconds
            )
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(GRACE)
        return over

    def statistics(self) -> Statistics:
        """What happened so far."""
        with self._changed:
            return Statistics(
                running=len(self._running),
                waiting=len(self._line),
                slots=self.slots,
                forwards=self._counts["forwards"],
                row_forwards=self._counts["rows"],
                fed_positions=self._counts["fed"],
                cached_positions=self._counts["read"],
                tokens_written=self._counts["tokens"],
                busy_seconds=self._busy,
                ended=dict(self._ended),
            )

    # What the engine's thread does.

    def _live(self) -> None:
        try:
            while self._turn():
                self._forward()
        except BaseException as error:  # never leave people waiting for a dead thread
            LOG.exception("the engine ends")
            self._broken = True
            self._close(error if isinstance(error, Exception) else None)
            raise
        self._close(None)

    def _turn(self) -> bool:
        """Let people out and in; sleeps while there is nothing to do. False: stop."""
        with self._changed:
            while True:
                now = time.monotonic()
                over = self._line.gone(now) + [one for one in self._running if is_over(one, now)]
                for ticket in over:
                    self._leave(ticket, "cancelled" if ticket.cancelled else "late")
                for ticket in self._line.admit(self.slots - len(self._running)):
                    ticket.started = now
                    seeded(ticket.row)
                    self._running.append(ticket)
                if self._running or self._stopping:
                    return not self._stopping
                self._changed.notify_all()  # whoever drains may go on
                self._changed.wait()

    def _forward(self) -> None:
        started = time.monotonic()
        commits, failed = self._step(list(self._running))
        spent = time.monotonic() - started
        with self._changed:
            self._busy += spent
            self._counts["forwards"] += 1
            self._counts["rows"] += len(commits)
            for ticket, error in failed:
                LOG.warning("a request failed: %s", error)
                self._leave(ticket, "failed", error)
            for ticket, commit in commits:
                self._tell(ticket, commit)

    def _tell(self, ticket: Ticket, commit: Commit) -> None:
        self._counts["fed"] += commit.fed
        self._counts["read"] += commit.read
        self._counts["tokens"] += len(commit.positions)
        ticket.cached_positions += commit.read
        ticket.first = ticket.first or time.monotonic() - ticket.started
        canvas = ticket.row.canvas
        enough = self._heard(lambda: ticket.listener.wrote(commit, canvas))
        if canvas.done:
            self._leave(ticket, "done")
        elif enough:
            self._leave(ticket, "enough")

    def _step(
        self, tickets: list[Ticket]
    ) -> tuple[list[tuple[Ticket, Commit]], list[tuple[Ticket, Exception]]]:
        """One forward for all. Where it raises, one for each, so that only the guilty fail."""
        rows = [ticket.row for ticket in tickets]
        for at, row in enumerate(rows):
            row.index = at
        before = [saved(row) for row in rows]
        try:
            found = step(self.model.denoiser, self._store, rows)
            return [(tickets[commit.row], commit) for commit in found], []
        except Exception:
            if len(rows) > 1:
                LOG.exception("a forward of %d rows failed; each is tried alone", len(rows))
        commits: list[tuple[Ticket, Commit]] = []
        failed: list[tuple[Ticket, Exception]] = []
        for slot, ticket in enumerate(tickets):
            restored(ticket.row, before[slot])
            try:
                [commit] = step(self.model.denoiser, self._store, [ticket.row], [slot])
                commits.append((ticket, commit))
            except Exception as error:
                failed.append((ticket, error))
        return commits, failed

    def _leave(self, ticket: Ticket, reason: Reason, error: Exception | None = None) -> None:
        """Free the slot and tell the listener, also if the device can do nothing any more."""
        try:
            if ticket in self._running:
                self._free(ticket, spoilt=reason == "failed")
        finally:
            self._tell_end(ticket, reason, error)

    def _free(self, ticket: Ticket, *, spoilt: bool) -> None:
        """Let the last row take the slot over. ``spoilt``: what is behind it may be NaN, which a
        mask would not keep away from the next row (0 * NaN is NaN)."""
        vacate(self._running, self._running.index(ticket), self._store)
        if spoilt:
            self._store.clear(len(self._running))

    def _tell_end(self, ticket: Ticket, reason: Reason, error: Exception | None) -> None:
        now = time.monotonic()
        ran = now - ticket.started if ticket.started else 0.0
        self._ended[reason] += 1
        if reason in ("done", "enough"):
            self._recent.append(self._busy)
        waited = (ticket.started or now) - ticket.submitted
        cached = ticket.cached_positions
        outcome = Outcome(ticket.row, reason, waited, ticket.first, ran, cached, error)
        self._heard(lambda: ticket.listener.ended(outcome))

    @staticmethod
    def _heard(call: Callable[[], bool | None]) -> bool:
        """What a listener says; one that raises has had enough, and takes nobody with it."""
        try:
            return bool(call())
        except Exception:
            LOG.exception("a listener failed")
            return True

    def _close(self, error: Exception | None) -> None:
        with self._changed:
            self._accepting = False
            closing = error or ClosingError("the server closed before the answer was done")
            left = [*self._running, *self._line.admit(len(self._line))]
            self._running.clear()  # no slot is needed any more, and the device may be lost
            for ticket in left:
                self._leave(ticket, "failed" if error else "closing", closing)
            self._changed.notify_all()
