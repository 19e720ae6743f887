"""Seconds, multiplications and bytes of a model's calls, counted where they are made.

Arithmetic: two operations per weight and position that meets it, and the two products of attention.
Our model needs the last layer, behind keys and values, for the asked positions only. Bytes: the
weights once a call, keys and values that attention reads, and those that are written. Activations
are left out: they stay in the caches of the processor.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from torch import Tensor

from unmask.models.blocks import Body, Transformer
from unmask.models.loading import Model


class Meter:
    """What was computed so far. ``fed`` counts positions, padding among them."""

    def __init__(self, body: Body, element: int) -> None:
        self.body, self.element = body, element
        query = body.width * body.heads * body.head_width
        self.inputs = query + 2 * body.width * body.kv_heads * body.head_width
        self.behind = query + 3 * body.width * body.mlp_width
        self.head = body.vocabulary * body.width
        self.weights = body.layers * (self.inputs + self.behind) + self.head
        self.seconds, self.calls, self.fed, self.flops, self.bytes = 0.0, 0, 0, 0, 0
        self._lock = threading.Lock()  # rows on different cores call at the same time

    def add(self, rows: int, fed: int, seen: int, asked: int, last: int) -> None:
        """One call: ``rows`` x ``fed`` positions, each looking at ``seen``, ``last`` of them in the
        whole of the last layer, ``asked`` in the head."""
        body = self.body
        through = fed * (body.layers - 1) + last
        products = fed * body.layers * self.inputs + through * self.behind + asked * self.head
        scores = 2 * through * seen * body.heads * body.head_width
        cached = 2 * rows * (seen + fed) * body.kv_heads * body.head_width * body.layers
        with self._lock:
            self.calls += 1
            self.fed += rows * fed
            self.flops += 2 * rows * (products + scores)
            self.bytes += self.element * (self.weights + cached)

    def spend(self, seconds: float) -> None:
        """Time inside the model."""
        with self._lock:
            self.seconds += seconds


class Metered:
    """A denoiser on a meter."""

    def __init__(self, denoiser: Transformer) -> None:
        self.denoiser = denoiser
        self.card, self.device, self.new_store = denoiser.card, denoiser.device, denoiser.new_store
        self.meter = Meter(denoiser.body, denoiser.embedding.weight.element_size())

    def __call__(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: Any = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """The model's answer."""
        started = time.perf_counter()
        logits: Tensor = self.denoiser(ids_BQ, at_BQ, store, keep_BL, ask_BA)
        self.meter.spend(time.perf_counter() - started)
        rows, fed = ids_BQ.shape
        asked = fed if ask_BA is None else ask_BA.shape[1]
        self.meter.add(rows, fed, fed if store is None else store.length, asked, asked)
        return logits


def metered(model: Model) -> tuple[Model, Meter]:
    """The same model on a meter, and the meter."""
    denoiser = Metered(model.denoiser)
    return replace(model, denoiser=denoiser), denoiser.meter  # type: ignore[arg-type]
