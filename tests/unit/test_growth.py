"""Benchmarks: what is counted is what is computed, and the page says what the records say."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("matplotlib")
pytest.importorskip("transformers")

import growth
import growth_plot
import side_by_side
from growth import Point
from meter import metered
from twin import Twin
from unmask import generate, load

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGE = (RESULTS / "performance.md").read_text()
PROMPTS = [[5, 9, 300, 7], [8, 4, 11, 1024, 77, 6]]


@pytest.mark.parametrize(
    ("name", "preset"), [("tiny", "vanilla"), ("tiny", "fast-dllm"), ("tiny-ar", "ar")]
)
def test_the_meter_counts_what_pytorch_counts(name, preset):
    model, meter = metered(load(name, "cpu"))
    # It does not know the fused kernel of a CPU, but its parts.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as theirs:
        [result] = generate(model, PROMPTS[0], preset, max_new_tokens=16, early_stop=False)
    assert meter.flops == theirs.get_total_flops()
    assert (meter.calls, meter.fed) == (result.forwards, result.fed_positions)
    # Weights are read once a call; norms are not multiplied with.
    norms = sum(w.numel() for w in model.denoiser.denoiser.parameters() if w.dim() == 1)
    assert meter.weights + norms == model.card.parameters
    assert meter.bytes > 4 * meter.weights * meter.calls


def test_transformers_writes_the_tokens_of_our_twin():
    model = load("tiny-ar", "cpu")
    twin, ends = Twin(model), model.card.end_ids
    ours = generate(model, PROMPTS, "ar", max_new_tokens=24)
    theirs = side_by_side.cut(twin.decode(PROMPTS, 24), ends)
    assert theirs == side_by_side.cut([one.token_ids for one in ours], ends)


def test_transformers_computes_what_our_twin_does():
    watched, ours = metered(load("tiny-ar", "cpu"))
    generate(watched, PROMPTS[0], "ar", max_new_tokens=24, early_stop=False)
    twin = Twin(load("tiny-ar", "cpu"))
    [answer] = twin.decode(PROMPTS[:1], 24, early_stop=False)
    theirs = twin.meter
    assert len(answer) == theirs.calls == ours.calls == 24
    assert theirs.fed == ours.fed == len(PROMPTS[0]) + 23
    # Of a prompt's positions one goes through our whole last layer.
    seen = len(PROMPTS[0])
    spared = 2 * (seen - 1) * (theirs.behind + 2 * seen * theirs.body.width)
    assert (theirs.flops - spared, theirs.bytes) == (ours.flops, ours.bytes)


def test_a_point_of_growth(tmp_path):
    point = Point(context=8, new=18, batch=2)
    runs = growth.contenders(32)
    found = {name: growth.record(name, point, run(point)) for name, run in runs.items()}
    assert {name: (one["tokens"], one["forwards"]) for name, one in found.items()} == {
        "AR with KV cache": (36, 18),
        "d3llm, distilled": (36, 2),  # 9 each: of the first block of 16, then 7 and 2 of the next
        "fast-dllm, dual cache": (36, 5),
        "vanilla": (8, 4),
        "transformers generate": (36, 18),
    }
    file = tmp_path / "growth.jsonl"
    slower = {name: one | {"ms_per_token": 1e6} for name, one in found.items()}
    lines = [*found.values(), *slower.values()]
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert growth.read(file) == {(name, point): one for name, one in found.items()}


def test_a_run_goes_on_where_it_was(tmp_path):
    file, sizes = tmp_path / "growth.jsonl", ((8, 9), (2, 3), (1, 2))
    growth.run_all(sizes, 1, file)
    first = file.read_text()
    threads = {1, torch.get_num_threads()}
    assert len(first.splitlines()) == 4 * len(growth.ORDER) * len(threads)
    growth.run_all(sizes, 1, file)
    assert file.read_text() == first
    file.write_text(first[: first.index("\n") + 1])
    growth.run_all(sizes, 1, file)
    assert len(growth.read(file)) == 4 * len(growth.ORDER)
    for theme in ("light", "dark"):
        assert growth_plot.draw(growth.read(file), "batch", theme).axes


def test_where_two_lines_cross():
    flat = [(1.0, 4.0), (2.0, 4.0), (4.0, 4.0)]
    drawn = {
        "AR with KV cache": [(1.0, 8.0), (2.0, 8.0), (4.0, 2.0)],
        "transformers generate": [(1.0, 9.0), (2.0, 9.0), (4.0, 9.0)],
        "d3llm, distilled": flat,
    }
    [one] = growth_plot.crossings(drawn)
    assert one.ar
    assert one.at == pytest.approx(2 * math.sqrt(2))
    assert growth_plot.said([one], drawn) == ""
    drawn["AR with KV cache"][-1] = (4.0, 5.0)
    assert growth_plot.crossings(drawn) == []
    assert "d3llm, distilled stays cheaper than AR up to 4" in growth_plot.said([], drawn)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("axis", growth_plot.AXES)
def test_pictures_say_where_ar_wins(axis, theme):
    records = growth.read(RESULTS / "growth.jsonl")
    figure = growth_plot.draw(records, axis, theme)
    said = [text.get_text() for text in figure.axes[0].texts]
    crossings = growth_plot.crossings(growth_plot.lines(records, axis))
    assert sum("is cheaper" in one for one in said) == len(crossings)
    assert len(figure.axes[0].lines) == len(growth.ORDER) + len(crossings)


def test_tables_of_the_page_are_the_records():
    assert growth.table(growth.read(RESULTS / "growth.jsonl")) in PAGE
    last = (RESULTS / "side_by_side.jsonl").read_text().splitlines()[-1]
    assert side_by_side.table(json.loads(last)) in PAGE
    for line in (RESULTS / "side_by_side.jsonl").read_text().splitlines()[-2:]:
        assert side_by_side.ratios(json.loads(line)["rows"]) in PAGE
    for name, value in json.loads(last)["ceilings"].items():
        what, unit = name.rsplit(" ", 1)
        assert f"{what}: {value:.0f} {unit}" in PAGE
