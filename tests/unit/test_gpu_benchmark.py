"""The GPU benchmark, at a small size on the CPU; and its loop on the device against ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gpu import resident
from unmask.canvas.canvas import Canvas
from unmask.decode import policy
from unmask.decode.loop import decode
from unmask.decode.step import Row
from unmask.models.blocks import Body, Transformer
from unmask.models.denoiser import ModelCard
from unmask.models.graphs import Graphed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LENGTH = 24


def random_model(shift):
    body = Body(2, 32, 4, 2, 48, 60, rope_theta=1e4, norm_eps=1e-6)
    card = ModelCard("m", "m", 60, 59, (0,), 0, 64, logit_shift=shift)
    denoiser = Transformer(body, card).double().eval()
    for number, weight in enumerate(denoiser.parameters()):
        if weight.dim() > 1:
            generator = torch.Generator().manual_seed(number)
            torch.nn.init.normal_(weight, std=0.3, generator=generator)
    return denoiser


@pytest.mark.parametrize(("every", "reads"), [(1, 5), (4, 2)])
@pytest.mark.parametrize("static", [False, True])
def test_the_loop_on_the_device_writes_what_ours_writes(every, reads, static):
    """One block of the whole answer, five tokens at every forward."""
    denoiser, trace = random_model(0), resident.Trace(5, spread=0.0)
    prompts = [[1, 2, 3], [9] * 7, [4, 5]]
    settings = {"max_new_tokens": LENGTH, "block_length": LENGTH, "early_stop": False, "seed": 0}
    made = policy.make(denoiser.card, "fast-dllm", settings, {})
    rows = [
        Row(i, Canvas.start(prompt, LENGTH, 59), replace(made, strategy=trace))
        for i, prompt in enumerate(prompts)
    ]
    for _ in decode(denoiser, rows, 3):
        pass
    found = resident.decode(
        Graphed(denoiser, lambda call: call) if static else denoiser,
        prompts,
        LENGTH,
        width=LENGTH,
        every=every,
        counts_FB=torch.full((1, 3), 5),
    )
    assert (rows[0].canvas.step, found.reads) == (5, reads)
    for row, ids in zip(rows, found.ids_BL.tolist(), strict=True):
        assert ids[: len(row.canvas)] == row.canvas.tokens_L.tolist()


def test_how_often_the_host_reads_changes_nothing_while_windows_stand_still():
    """A shifted model too, whose window is fed with the position before it at every forward."""
    denoiser, counts = random_model(1), torch.full((1, 2), 5)
    found = [
        resident.decode(
            model, [[1, 2, 3], [9] * 7], LENGTH, width=LENGTH, every=every, counts_FB=counts
        ).ids_BL
        for model in (denoiser, Graphed(denoiser, lambda call: call))
        for every in (1, 2, 5)
    ]
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.parametrize("every", [1, 3])
def test_windows_move_until_nothing_is_open(every):
    denoiser = random_model(1)
    counts = torch.full((1, 2), 3)
    found = resident.decode(
        denoiser, [[1], [2] * 6], LENGTH, width=8, every=every, counts_FB=counts
    )
    assert found.ids_BL[0, 1:25].ne(59).all()
    assert found.ids_BL[1, 6:].ne(59).all()
    assert found.forwards == every * found.reads >= LENGTH / 3


def test_a_trace_has_its_mean():
    counts = resident.Trace(9.9).counts(torch.linspace(0, 1, 10_001))
    assert counts.float().mean().item() == pytest.approx(9.9, abs=0.01)
    assert (counts.min().item(), counts.max().item()) == (6, 14)


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / "gpu" / "replay.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_the_benchmark_runs_at_a_small_size(tmp_path):
    out = tmp_path / "gpu" / "small.jsonl"
    small = "--shape small --device cpu --dtype float32 --batch 1 3 --prompt 20 --answer 64"
    short = "--rounds 2 --buffer 1 --side 64 --tpf 8"
    done = run(*small.split(), *short.split(), "--out", str(out))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["what"] for line in lines] == [
        *("floor", "cached forward", "plain loop"),
        *("replay", "replay", "on the device", "on the device") * 2,
        "bfloat16 and float32",
    ]
    forward = lines[1]
    assert forward["largest difference of logits"] < 1e-4 < forward["largest logit"]
    assert forward["same tokens"] == 1
    for eager, static in ((lines[3], lines[4]), (lines[7], lines[8])):
        assert eager["tokens per forward"] == pytest.approx(static["tokens per forward"], rel=0.1)
        assert 5 < eager["tokens per forward"] <= 8.5
    assert [line["reads"] for line in lines[5:7]] > [lines[6]["reads"]]
    assert 0.5 < lines[-1]["same tokens"] <= 1


@pytest.mark.slow
def test_weights_of_8_bits_at_a_small_size(tmp_path):
    """A floor of half the bytes, and how often both kinds of weights write the same token."""
    small = "--shape small --device cpu --prompt 20 --answer 64 --batch 1 --every 1"
    short = "--rounds 2 --buffer 1 --side 64 --tpf 8"
    found = []
    for weights in ("", "--weights fp8"):
        out = tmp_path / f"{weights}.jsonl"
        done = run(*small.split(), *short.split(), *weights.split(), "--out", str(out))
        assert done.returncode == 0, done.stderr
        found.append([json.loads(line) for line in out.read_text().splitlines()])
    wide, narrow = found
    assert [lines[0]["weights"] for lines in found] == ["bfloat16", "fp8"]
    assert narrow[0]["weights GB"] < 0.6 * wide[0]["weights GB"]
    assert narrow[1]["largest difference of logits"] < 0.2 * narrow[1]["largest logit"]
    assert [line["what"] for line in narrow[:-1]] == [line["what"] for line in wide[:-1]]
    assert narrow[-1]["what"] == "fp8 and bfloat16"
    assert 0.3 < narrow[-1]["same tokens"] < 1


def test_weights_of_8_bits_want_bfloat16():
    done = run("--device", "cpu", "--dtype", "float32", "--weights", "fp8")
    assert done.returncode == 1
    assert done.stderr.strip() == "--weights fp8 goes with --dtype bfloat16 only"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_one_sentence_says_so():
    done = run()
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "there is no CUDA device here; give --shape small --device cpu to try"
    )
