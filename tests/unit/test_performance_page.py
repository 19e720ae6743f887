"""docs/results/performance.md says what its records say."""

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGE = (RESULTS / "performance.md").read_text()
WANTED = PAGE[PAGE.index("## What was wanted") : PAGE.index("## An 8B model")]


def records(name):
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]


def test_where_a_forward_goes():
    rows = records("forward.jsonl")[-1]["rows"]
    for name, row in rows.items():
        parts = " | ".join(f"{row[part]:.1%}" for part in ("model", "scoring", "bookkeeping"))
        line = f"| {name} | {row['ms_per_forward']:.2f} | {parts} | {row['fed_per_forward']} |"
        assert line.replace("%", " %") in PAGE


@pytest.mark.parametrize(
    ("contender", "said"),
    [
        ("tiny-fast d3llm, batch 1", "{} for `tiny-fast`"),
        ("tiny-fast d3llm, batch 8", "{} at batch 8"),
        ("tiny fast-dllm, batch 1", "{} `fast-dllm`"),
        ("tiny vanilla, batch 1", "{} vanilla"),
    ],
)
def test_scoring_and_bookkeeping(contender, said):
    row = records("forward.jsonl")[-1]["rows"][contender]
    share = f"{100 * (row['scoring'] + row['bookkeeping']):.1f} %"
    assert said.format(share) in WANTED


def test_the_student_against_vanilla_and_its_twin():
    rows = {
        row["name"]: row for row in json.loads((RESULTS / "bench_tiny.json").read_text())["rows"]
    }
    student = rows["d3llm, distilled (tiny-fast)"]
    assert f"**{student['to_vanilla']:.1f}**" in WANTED
    assert f"**{student['to_ar']:.2f}**" in WANTED


def test_a_forward_of_a_published_loop_and_of_ours():
    said = {}
    for one in records("side_by_side.jsonl")[-2:]:
        theirs, ours = (
            one["rows"][name]["ms_per_forward"]
            for name in ("tiny-fast d3LLM's loop", "tiny-fast d3llm, batch 1")
        )
        said[one["canvas"]] = f"{theirs / ours:.1f}"
    assert f"{said[96]} at 96 answer positions, {said[256]} at 256" in WANTED


def test_dual_beats_prefix_everywhere():
    rows = {
        row["name"]: row for row in json.loads((RESULTS / "bench_tiny.json").read_text())["rows"]
    }
    pairs = [(rows["fast-dllm, dual cache"], rows["fast-dllm, prefix cache"])]
    pairs.extend(
        (one["rows"]["unmask fast-dllm, dual"], one["rows"]["unmask fast-dllm, prefix"])
        for one in records("decode_speed.jsonl")
    )
    assert all(dual["tokens_per_second"] > prefix["tokens_per_second"] for dual, prefix in pairs)
    assert len(pairs) == 5, "the page says in all five runs"


@pytest.mark.parametrize("page", ["README.md", "docs/results/distillation.md"])
def test_the_table_of_all_decoders(page):
    text = (RESULTS.parents[1] / page).read_text()
    found = 0
    for row in json.loads((RESULTS / "bench_tiny.json").read_text())["rows"]:
        line = (
            f"| {row['name']} | {row['tokens_per_second']:.0f} | {row['to_vanilla']:.1f}x | "
            f"{row['to_ar']:.2f}x | {row['forwards']:,} | {row['tokens_per_forward']:.2f} | "
            f"{row['fed_positions']:,} | {row['accuracy']:.0%} |"
        )
        if f"\n| {row['name']} | " in text:
            assert line in text
            found += 1
    assert found == (9 if page == "README.md" else 5)


def test_the_table_of_machines():
    page = (RESULTS.parent / "machines.md").read_text()
    rows = list(records("levels.jsonl"))
    for row in rows:
        line = (
            f"| `{row['model']}` | `{row['preset']}` | {row['same_tokens']:.1%} | "
            f"{row['same_tokens_and_forwards']:.1%} | {row['right']:.1%}, "
            f"{row['right_widest']:.1%} | {row['logits_apart']:.0e} |"
        )
        assert line in page
    assert sum(row["stories"] for row in rows) == 1500
