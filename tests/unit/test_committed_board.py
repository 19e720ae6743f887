"""The leaderboard that is committed is what its committed records come to."""

from pathlib import Path

import pytest

from unmask.evaluate.leaderboard import tables
from unmask.evaluate.metrics import curves, points
from unmask.evaluate.record import read
from unmask.evaluate.sheet import table_csv

BOARD = Path(__file__).parents[2] / "docs" / "results" / "leaderboard"


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
    assert named["tiny-fast d3llm", 0.1] == (98.8, 9.05)
    assert named["tiny vanilla", None] == (99.5, 0.68)
    assert named["tiny-ar ar", None] == (95.5, 1.0)
