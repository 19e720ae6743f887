"""What does the server do all day? Numbers in Prometheus' format.

The engine's own counts are read when somebody asks; the rest is noted as answers end.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from unmask.engine.engine import Engine
from unmask.engine.ticket import Outcome

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
RATES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
PER_FORWARD = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32)
REFUSALS = {401: "unauthorised", 429: "busy", 499: "cancelled", 503: "closing", 504: "late"}
"""Outcomes of refused requests by status; other 4xx are ``invalid``, other 5xx ``failed``."""


class EngineCollector(Collector):
    """The engine's statistics as metrics."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Read once for all of them."""
        now = self._engine.statistics()
        yield GaugeMetricFamily("unmask_running", "Answers being written.", now.running)
        yield GaugeMetricFamily("unmask_waiting", "Answers waiting for a slot.", now.waiting)
        yield GaugeMetricFamily("unmask_slots", "Answers that fit into a forward.", now.slots)
        for name, about, value in (
            ("forwards", "Forwards of the engine.", now.forwards),
            ("row_forwards", "Answers summed over forwards.", now.row_forwards),
            ("fed_positions", "Positions sent through the model.", now.fed_positions),
            ("cached_positions", "Positions read from the cache.", now.cached_positions),
            ("written_tokens", "Tokens written, padding included.", now.tokens_written),
            ("busy_seconds", "Seconds spent in forwards.", now.busy_seconds),
        ):
            yield CounterMetricFamily(f"unmask_{name}", about, value)
        ended = CounterMetricFamily(
            "unmask_answers", "Answers that left the engine, by reason.", labels=["reason"]
        )
        for reason, count in sorted(now.ended.items()):
            ended.add_metric([reason], count)
        yield ended


class Metrics:
    """Counts and distributions of one server. Called from any thread."""

    def __init__(self, engine: Engine) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(EngineCollector(engine))
        self._requests = Counter(
            "unmask_requests", "Requests by outcome.", ["outcome"], registry=registry
        )
        self._tokens = Counter(
            "unmask_tokens", "Tokens of answers, up to their end.", registry=registry
        )
        self._waited = Histogram(
            "unmask_queue_seconds", "Seconds until a slot was free.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._first = Histogram(
            "unmask_first_text_seconds", "Seconds until the first text that can no longer change.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._latency = Histogram(
            "unmask_request_seconds", "Seconds from the request to the end of an answer.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._rate = Histogram(
            "unmask_tokens_per_second", "Tokens over seconds of an answer, without waiting.",
            buckets=RATES, registry=registry,
        )  # fmt: skip
        self._per_forward = Histogram(
            "unmask_tokens_per_forward", "Tokens over forwards of an answer.",
            buckets=PER_FORWARD, registry=registry,
        )  # fmt: skip

    def refused(self, status: int) -> None:
        """A request that came to nothing, told by the status of its answer."""
        other = "invalid" if status < 500 else "failed"
        self._requests.labels(REFUSALS.get(status, other)).inc()

    def request(self, outcome: str) -> None:
        """A request all of whose answers ended."""
        self._requests.labels(outcome).inc()

    def answer(self, outcome: Outcome, tokens: int, first_text: float | None) -> None:
        """An answer ended; ``tokens`` long, its first text after ``first_text`` seconds."""
        self._waited.observe(outcome.waited)
        if first_text is not None:
            self._first.observe(first_text)
        if outcome.reason not in ("done", "enough"):
            return
        self._tokens.inc(tokens)
        self._latency.observe(outcome.waited + outcome.seconds)
        self._rate.observe(tokens / outcome.seconds if outcome.seconds else 0.0)
        self._per_forward.observe(tokens / max(outcome.row.canvas.step, 1))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
