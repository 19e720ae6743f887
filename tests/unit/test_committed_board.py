"""The leaderboard that is committed is what its committed records come to."""

import json
import re
import shlex
from pathlib import Path

import pytest

from unmask.evaluate.leaderboard import tables
from unmask.evaluate.metrics import curves, points
from unmask.evaluate.record import read
from unmask.evaluate.sheet import table_csv

DOCS = Path(__file__).parents[2] / "docs"
BOARD = DOCS / "results" / "leaderboard"
BENCHED = {
    # preset and model of a row of docs/presets.md: the row of bench_tiny.json
    ("vanilla", "tiny"): "vanilla",
    ("ar", "tiny-ar"): "autoregressive (tiny-ar)",
    ("fast-dllm", "tiny"): "fast-dllm, dual cache",
    ("d3llm", "tiny"): "d3llm, sliding cache",
    ("d3llm", "tiny-fast"): "d3llm, distilled (tiny-fast)",
}


@pytest.fixture(scope="module")
def found():
    return points(read(BOARD / "records.jsonl.gz"))


@pytest.mark.slow
def test_the_table_is_that_of_the_records(found):
    assert table_csv(tables(curves(found))) == (BOARD / "leaderboard.csv").read_text()


@pytest.mark.slow
def test_figures_named_in_the_text(found):
    """README.md and docs/results/leaderboard/README.md."""
    assert all(point.answers == 1000 for point in found)
    named = {
        (point.setup.method, point.swept.get("threshold")): (
            round(point.accuracy.value, 1),
            round(point.tokens_per_forward.value, 2),
        )
        for point in found
    }
    assert named["tiny-fast d3llm", 0.1] == (98.8, 8.97)
    assert named["tiny vanilla", None] == (99.5, 0.68)
    assert named["tiny-ar ar", None] == (95.5, 1.0)


@pytest.mark.slow
def test_the_table_for_choosing_a_preset(found):
    """docs/presets.md: every row is a point of the records, and a line of the benchmark."""
    rows = re.findall(
        r"^\| `(--model .+)` \| (.*) \|$", (DOCS / "presets.md").read_text(), re.MULTILINE
    )
    speeds = {
        row["name"]: f"{row['tokens_per_second']:.0f}"
        for row in json.loads((DOCS / "results" / "bench_tiny.json").read_text())["rows"]
    }
    assert len(rows) == 7
    for options, figures in rows:
        words = shlex.split(options)
        given = dict(zip(words[::2], words[1::2], strict=True))
        bar = float(given["--threshold"]) if "--threshold" in given else None
        method = f"{given['--model']} {given['--preset']}"
        [point] = [
            one for one in found
            if one.setup.method == method and one.swept.get("threshold") == bar
        ]  # fmt: skip
        right, speed = point.accuracy, BENCHED.get((given["--preset"], given["--model"]))
        cells = [
            f"{point.tokens_per_forward.value:.2f}",
            f"{right.value:.1f} ({right.low:.1f} to {right.high:.1f})",
            speeds[speed] if speed else "",
        ]
        assert [cell.strip() for cell in figures.split("|")] == cells, options
