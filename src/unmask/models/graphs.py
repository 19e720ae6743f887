"""A denoiser whose cached forwards are replayed: CUDA graphs over buckets of static shape.

A cached forward of one block is some hundred kernels that a GPU runs faster than Python launches
them. A graph launches all at once, but has its shapes and addresses built in. So a forward is put
into a bucket, its rows, fed width and stored length rounded up, and copied into the bucket's
buffers. What is added does not count:

- a column repeats the last fed position, which writes the same keys to the same place;
- a row that is not in this call writes to a spare slot of the store, which nobody reads;
- a stored position is masked out.

Rows stand at their own slots, so that keys are read in place. A forward that feeds much, or few of
the slots below its highest, goes the ordinary way. Norm and head are outside of the graph, for how
many positions are asked differs from forward to forward, and they are a handful of launches.

How a bucket is replayed is given (`Capture`): everything else runs, and is tested, on a CPU.
**`cuda_graphs` itself has not run on a GPU yet**, so nothing uses this module unless it is told to:

    denoiser = Graphed(model.denoiser, cuda_graphs())
    unmask.generate(dataclasses.replace(model, denoiser=denoiser), prompts)

Shape legend: B rows, Q fed positions, L canvas positions, A asked rows, V vocabulary, W width.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from unmask.models.attention import columns
from unmask.models.blocks import Transformer
from unmask.models.store import KeyValueStore, StoreRows

Call = Callable[[], Tensor]
Capture = Callable[[Call], Call]
"""Takes a forward that reads and writes buffers only, and gives back what repeats it."""

WIDEST = 256
"""Fed positions from which the arithmetic of a forward takes longer than its launches."""
ROWS, WIDTH, LENGTH = 4, 16, 256
"""A bucket's sizes are multiples of these; one or two rows stay alone."""


class Bucket(NamedTuple):
    """Rows, fed width and stored length of a static forward."""

    rows: int
    width: int
    length: int


def bucket_of(slots: Sequence[int], width: int, length: int, store: KeyValueStore) -> Bucket | None:
    """The bucket of a forward; None where replaying it does not pay.

    The last slot of ``store`` is the spare one.
    """
    highest = max(slots) + 1
    rows = highest if highest <= 2 else min(_up(highest, ROWS), _spare(store))
    if width > WIDEST or 2 * len(slots) < rows:
        return None
    return Bucket(rows, _up(width, WIDTH), min(_up(length, LENGTH), store.length))


def _up(size: int, grain: int) -> int:
    return -(-size // grain) * grain


def _spare(store: KeyValueStore) -> int:
    return store.keys.shape[1] - 1


def cuda_graphs() -> Capture:
    """Captures on a GPU. All graphs take their memory from one pool: they never run at once, and
    what a replay returns is read before the next one begins."""
    pool = torch.cuda.graph_pool_handle()

    def capture(call: Call) -> Call:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries take their workspaces at the first calls
            for _ in range(2):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            out = call()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay

    return capture


def current(device: torch.device) -> AbstractContextManager[object]:
    """``device`` is the current one meanwhile, if it is a GPU."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class _Static:
    """One bucket: its buffers, and the replay of the forward that reads them."""

    def __init__(
        self, denoiser: Transformer, store: KeyValueStore, bucket: Bucket, capture: Capture
    ) -> None:
        rows, width, length = bucket
        device = denoiser.device
        self._denoiser, self._capture, self._spare = denoiser, capture, _spare(store)
        self._ids, self._at = torch.zeros(2, rows, width, dtype=torch.int64, device=device)
        self._keep = torch.ones(rows, length, dtype=torch.bool, device=device)
        self._index = torch.zeros(rows, dtype=torch.int64, device=device)
        self._store = StoreRows(store, range(rows), length, self._index)
        self._replay: Call | None = None

    def __call__(
        self, ids_BQ: Tensor, at_BQ: Tensor, store: StoreRows, keep_BL: Tensor | None
    ) -> Tensor:
        """The hidden states [B, Q, W] of the rows that are given."""
        slots_B, width = store.index_B, ids_BQ.shape[1]
        self._index.fill_(self._spare).index_copy_(0, slots_B, slots_B)
        for static, given in ((self._ids, ids_BQ), (self._at, at_BQ)):
            again = given[:, -1:].expand(-1, static.shape[1] - width)
            static.index_copy_(0, slots_B, torch.cat([given, again], 1))
        if keep_BL is None:
            keep_BL = self._keep.new_ones(len(slots_B), store.length)
        unseen = self._keep.shape[1] - store.length
        self._keep.index_copy_(0, slots_B, F.pad(keep_BL, (0, unseen)))
        if self._replay is None:
            with current(self._ids.device):  # streams and graphs belong to one GPU of a machine
                self._replay = self._capture(self._forward)
        return self._replay().index_select(0, slots_B)[:, :width]

    def _forward(self) -> Tensor:
        return self._denoiser.hidden(self._ids, self._at, self._store, self._keep)


class _Arena:
    """The memory of a store, and the buckets that are bound to it."""

    def __init__(self, store: KeyValueStore) -> None:
        self.store = store
        self.buckets: dict[Bucket, _Static] = {}


class Graphed:
    """A `unmask.models.denoiser.Denoiser` that replays what it can; for inference only.

    The memory of a store that nobody holds any longer is given to the next one of its size,
    together with its graphs, so that calls of `unmask.generate` share them.
    """

    def __init__(self, denoiser: Transformer, capture: Capture) -> None:
        self.card = denoiser.card
        self._denoiser, self._capture = denoiser, capture
        self._arenas: weakref.WeakKeyDictionary[KeyValueStore, _Arena] = weakref.WeakKeyDictionary()
        self._free: _Arena | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._denoiser.device

    @property
    def dtype(self) -> str:
        """The number type of the weights."""
        return self._denoiser.dtype

    @torch.inference_mode(mode=False)  # a store is written outside of that mode, too
    def new_store(self, rows: int, length: int) -> KeyValueStore:
        """Room for ``rows`` canvases of up to ``length`` positions, and a spare slot."""
        rows, length = rows if rows <= 2 else _up(rows, ROWS), _up(length, LENGTH)
        arena, self._free = self._free, None
        if arena is None or (_spare(arena.store), arena.store.length) != (rows, length):
            arena = _Arena(self._denoiser.new_store(rows + 1, length))
        arena.store.keys.zero_()
        arena.store.values.zero_()
        store = copy(arena.store)  # another object around the same memory: it tells who holds it
        self._arenas[store] = arena
        weakref.finalize(store, self._release, arena)
        return store

    def _release(self, arena: _Arena) -> None:
        self._free = arena

    @torch.inference_mode()
    def __call__(
        self,
        ids_BQ: Tensor,
        at_BQ: Tensor,
        store: StoreRows | None = None,
        keep_BL: Tensor | None = None,
        ask_BA: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, A, V], as `Transformer.forward` gives them up to rounding."""
        arena = None if store is None else self._arenas.get(store.store)
        bucket = None
        if store is not None and arena is not None:
            bucket = bucket_of(store.slots, ids_BQ.shape[1], store.length, arena.store)
        if store is None or arena is None or bucket is None:
            logits: Tensor = self._denoiser(ids_BQ, at_BQ, store, keep_BL, ask_BA)
            return logits
        if bucket not in arena.buckets:
            arena.buckets[bucket] = _Static(self._denoiser, arena.store, bucket, self._capture)
        x_BQW = arena.buckets[bucket](ids_BQ, at_BQ, store, keep_BL)
        return self._denoiser.speak(x_BQW if ask_BA is None else columns(x_BQW, ask_BA))
