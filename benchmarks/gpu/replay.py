"""What does a forward of an 8B model cost on a GPU, and what rate would published traces have?

    python benchmarks/gpu/replay.py --shape llada-8b --device cuda --out docs/results/gpu/h200.jsonl

The weights are random and the acceptances are replayed: a forward writes as many tokens as the
published decoders write on the average. So the rates say what this code does with such a trace on
this card, and nothing about the texts, which are noise. What is wanted: README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import resident

import full_canvas
import slice as cut
import unmask
from decode_speed import machine
from unmask.canvas.canvas import Canvas
from unmask.decode import loop, policy
from unmask.decode.step import Row
from unmask.evaluate.memory import PeakMemory
from unmask.models import blocks, fp8, quantized
from unmask.models.blocks import Body, RMSNorm, Transformer
from unmask.models.denoiser import Denoiser
from unmask.models.fp8 import FP8
from unmask.models.graphs import Graphed, cuda_graphs

LAYERS = {"llada-8b": 32, "dream-7b": 28}
SHAPES = {name: replace(cut.SHAPES[name], layers=layers) for name, layers in LAYERS.items()}
SHAPES["small"] = Body(2, 64, 4, 2, 128, 512, rope_theta=1e4, norm_eps=1e-6, qkv_bias=True)
SHIFTED = {"dream-7b": 1}
BLOCK = 32
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
Line = dict[str, Any]


class Bench:
    """A random model, and the ways to call it."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.device = torch.device(given.device)
        gpu = self.device.type == "cuda"
        if given.compile:
            fuse()
        self.model = self.random_model()
        if given.weights:
            rounded(self.model.denoiser)
        self.plain: Transformer = self.model.denoiser
        self.static = Graphed(self.plain, cuda_graphs() if gpu else lambda call: call)
        self.ways: dict[str, Denoiser] = {
            "eager": self.plain,
            "graphs" if gpu else "buckets without graphs": self.static,
        }

    def random_model(self) -> unmask.Model:
        """The same weights at every call, in ``dtype``."""
        given = self.given
        return cut.random_model(
            SHAPES[given.shape],
            given.shape,
            given.device,
            DTYPES[given.dtype],
            max_length=given.prompt + given.answer,
            logit_shift=SHIFTED.get(given.shape, 0),
        )

    def seconds(self, run: Callable[[], object], rounds: int | None = None) -> float:
        """Of one ``run``, the mean of many after one to warm up."""
        run()
        self._wait()
        started = time.perf_counter()
        for _ in range(rounds or self.given.rounds):
            run()
        self._wait()
        return (time.perf_counter() - started) / (rounds or self.given.rounds)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def prompt(self, index: int) -> list[int]:
        """Ids that nobody meant; their number differs a little from row to row."""
        count = self.given.prompt - index % 8
        return [1 + (7 * index + at) % (self.plain.card.vocabulary - 2) for at in range(count)]


def fuse() -> None:
    """Norm, rotary positions, gate and rounding to fp8 as one kernel each, by torch.compile."""
    owners = ((blocks, "rotate"), (blocks, "gated"), (RMSNorm, "forward"), (fp8, "narrow"))
    for owner, name in owners:
        setattr(owner, name, torch.compile(getattr(owner, name), dynamic=True))


def rounded(denoiser: Transformer) -> None:
    """Turn ``denoiser`` into what `unmask.load` makes of a checkpoint with dtype="fp8"."""
    for module in denoiser.modules():
        if isinstance(module, nn.Linear):
            numbers, scale = quantized.rounded(module.weight.data, FP8.kind)
            module.weight = nn.Parameter(numbers, requires_grad=False)
            module.register_buffer("scale", scale)
    quantized.settle(denoiser, FP8)


def read_bytes(denoiser: Transformer) -> int:
    """Of the weights that a forward reads: all but the embedding, of which it takes some rows."""
    parts = (one.whole for one in denoiser.modules() if isinstance(one, quantized.Part))
    named = denoiser.named_parameters()
    plain = (weight.nbytes for name, weight in named if name != "embedding.weight")
    return sum(plain) + sum(whole.bytes for whole in set(parts))


@torch.inference_mode()
def floor(bench: Bench) -> Line:
    """The least time in which the weights of a forward can be read, and the rate of a product."""
    weights = read_bytes(bench.plain)
    source = torch.zeros(bench.given.buffer << 20, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() / bench.seconds(lambda: target.copy_(source))
    side = bench.given.side
    x = torch.randn(side, side, device=bench.device).to(DTYPES[bench.given.dtype])
    return {
        "what": "floor",
        "weights GB": round(weights / 1e9, 6),
        "copy GB/s": round(bandwidth / 1e9, 1),
        "floor ms": round(1000 * weights / bandwidth, 4),
        "product TFLOP/s": round(2 * side**3 / bench.seconds(lambda: x @ x) / 1e12, 2),
    }


@torch.inference_mode()
def forward(bench: Bench, floor_ms: float) -> Line:
    """A cached forward of one block at a full canvas, every way, and whether they agree."""
    card, length = bench.plain.card, bench.given.prompt + bench.given.answer
    canvas = torch.tensor([bench.prompt(0)], device=bench.device)
    masks = torch.full((1, length - canvas.shape[1]), card.mask_id, device=bench.device)
    canvas = torch.cat([canvas, masks], 1)
    at = torch.arange(length, device=bench.device)[None]
    start = bench.given.prompt - card.logit_shift
    ids, where = (x[:, start : start + BLOCK + card.logit_shift] for x in (canvas, at))
    ask = torch.arange(BLOCK, device=bench.device)[None]
    found: dict[str, Tensor] = {}
    line: Line = {"what": "cached forward", "canvas": length, "fed": ids.shape[1]}
    for name, denoiser in bench.ways.items():
        store = denoiser.new_store(1, length)
        rows = store.rows([0], length)
        bench.plain(canvas, at, rows, None, ask)

        def run(denoiser: Denoiser = denoiser, rows: Any = rows) -> Tensor:
            return denoiser(ids, where, rows, None, ask)

        found[name] = run().float()
        spent = 1000 * bench.seconds(run)
        line |= {f"{name} ms": round(spent, 4), f"{name} to floor": round(spent / floor_ms, 3)}
    plain, other = found.values()
    line["largest difference of logits"] = (plain - other).abs().max().item()
    line["largest logit"] = plain.abs().max().item()
    line["same tokens"] = (plain.argmax(-1) == other.argmax(-1)).float().mean().item()
    return line


def plain_loop(bench: Bench) -> Line:
    """The yardstick: the whole canvas at every forward, one token each, batch 1."""
    given = bench.given
    with PeakMemory(bench.device) as peak:
        spent = bench.seconds(
            lambda: full_canvas.decode(
                bench.model, bench.prompt(0), given.answer, BLOCK, threshold=None
            ),
            1,
        )
    return {
        "what": "plain loop",
        "batch": 1,
        "tokens/s": round(given.answer / spent, 2),
        "ms per forward": round(1000 * spent / given.answer, 3),
        "peak MB beyond weights": round(peak.bytes / 2**20, 1),
    }


def replay(bench: Bench, way: str, batch: int) -> Line:
    """Decode twice as many texts as slots with a replayed trace: rows come and go."""
    card, given = bench.plain.card, bench.given
    trace = resident.Trace(given.tpf)
    shared = {"block_length": BLOCK, "early_stop": False, "cache": given.cache}

    def rows() -> list[Row]:
        made = []
        for index in range(2 * batch):
            length = given.answer - BLOCK * (index % 2)  # so that they end at different times
            settings = {**shared, "max_new_tokens": length, "seed": index}
            own = policy.make(card, given.preset, settings, {})
            canvas = Canvas.start(bench.prompt(index), length, card.mask_id)
            made.append(Row(index, canvas, replace(own, strategy=trace)))
        return made

    done: list[Row] = []
    calls = 0

    def run() -> None:
        nonlocal done, calls
        done = rows()
        calls = sum(1 for _ in loop.decode(bench.ways[way], done, batch))

    with PeakMemory(bench.device) as peak:
        spent = bench.seconds(run, 1)
    tokens = sum(len(row.canvas) - row.canvas.prompt_length for row in done)
    return {
        "what": "replay",
        "way": way,
        "preset": f"{given.preset}, cache {given.cache}",
        "batch": batch,
        "tokens/s": round(tokens / spent, 1),
        "tokens per forward": round(tokens / sum(row.canvas.step for row in done), 2),
        "ms per step": round(1000 * spent / calls, 3),
        "fed per forward": round(sum(sum(r.fed) for r in done) / sum(len(r.fed) for r in done), 1),
        "peak MB beyond weights": round(peak.bytes / 2**20, 1),
    }


def on_device(bench: Bench, way: str, batch: int, every: int) -> Line:
    """The same trace in windows of two blocks, the host reading once in ``every`` forwards."""
    given = bench.given
    uniform = torch.rand(given.answer, batch, generator=torch.Generator().manual_seed(0))
    counts_FB = resident.Trace(given.tpf).counts(uniform).to(bench.device)
    prompts = [bench.prompt(index) for index in range(batch)]
    found: list[resident.Written] = []

    def run() -> None:
        found[:] = [
            resident.decode(
                bench.ways[way],
                prompts,
                given.answer,
                width=min(2 * BLOCK, given.answer),
                every=every,
                counts_FB=counts_FB,
            )
        ]

    spent = bench.seconds(run, 1)
    tokens = batch * given.answer
    return {
        "what": "on the device",
        "way": way,
        "batch": batch,
        "forwards per read": every,
        "reads": found[0].reads,
        "tokens/s": round(tokens / spent, 1),
        "tokens per forward": round(given.answer / found[0].forwards, 2),
        "ms per forward": round(1000 * spent / found[0].forwards, 3),
    }


@torch.inference_mode()
def agreement(bench: Bench, texts: int = 4) -> Line:
    """How often bfloat16 and float32 would write the same token, or fp8 and bfloat16 if weights are
    rounded; every position is masked or not by chance. Turns the model into float32, or makes a
    second one, so it comes last."""
    card, length = bench.plain.card, bench.given.prompt
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, card.mask_id, (texts, length), generator=generator)
    hidden = torch.rand(texts, length, generator=generator) < 0.5
    ids = ids.masked_fill(hidden, card.mask_id).to(bench.device)
    at = torch.arange(length, device=bench.device)[None]

    def tokens(denoiser: Transformer) -> Tensor:
        return torch.cat([denoiser(row[None], at).argmax(-1) for row in ids])

    if bench.given.weights:
        kinds, pair = "fp8 and bfloat16", [tokens(bench.plain)]
        pair.append(tokens(bench.random_model().denoiser))
    else:
        kinds = "bfloat16 and float32"  # so both have the weights that bfloat16 can hold
        pair = [tokens(bench.plain.to(dtype)) for dtype in (torch.bfloat16, torch.float32)]
    same = (pair[0] == pair[1]).float().mean().item()
    return {"what": kinds, "positions": ids.numel(), "same tokens": round(same, 4)}


def lines(bench: Bench) -> Iterator[Line]:
    """All figures, one after the other."""
    first = floor(bench)
    yield first
    yield forward(bench, first["floor ms"])
    yield plain_loop(bench)
    for batch in bench.given.batch:
        for way in bench.ways:
            yield replay(bench, way, batch)
        for every in bench.given.every:
            yield on_device(bench, list(bench.ways)[-1], batch, every)
    yield agreement(bench)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="llada-8b")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a small shape")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--weights", choices=[FP8.name], help="rounded to 8 bits; wants bfloat16")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--tpf", type=float, default=9.9, help="mean tokens per forward")
    parser.add_argument("--preset", default="d3llm")
    parser.add_argument("--cache", default="sliding")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 4], help="forwards per read")
    parser.add_argument("--prompt", type=int, default=256, help="tokens")
    parser.add_argument("--answer", type=int, default=256, help="tokens")
    parser.add_argument("--rounds", type=int, default=20, help="of a timed forward")
    parser.add_argument("--buffer", type=int, default=2048, help="MB that are copied")
    parser.add_argument("--side", type=int, default=8192, help="of the multiplied squares")
    parser.add_argument("--compile", action="store_true", help="fuse norm, rotary and gate")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    return parser.parse_args()


def main() -> None:
    """Measure, print, append JSON lines."""
    given = arguments()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; give --shape small --device cpu to try")
    if given.weights and given.dtype != "bfloat16":
        raise SystemExit(f"--weights {given.weights} goes with --dtype bfloat16 only")
    bench = Bench(given)
    gpu = bench.device.type == "cuda"
    where = {"card": torch.cuda.get_device_name(bench.device) if gpu else "none", **machine()}
    what = {"shape": given.shape, "dtype": given.dtype, "compile": given.compile}
    what["weights"] = given.weights or given.dtype
    for line in lines(bench):
        print(json.dumps(line))
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            with given.out.open("a") as file:
                print(json.dumps({**what, **line, **where}), file=file)


if __name__ == "__main__":
    main()
