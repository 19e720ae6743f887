"""The tables of docs/scale.md are those of its formulas."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PLAN = runpy.run_path(str(DOCS / "make_scale.py"))


@pytest.mark.parametrize("name", ["sharing", "capacity", "waiting", "fleet", "training"])
def test_a_table_stands_on_the_page(name):
    assert "\n".join(PLAN[name]()) in (DOCS / "scale.md").read_text()


def test_erlang_by_hand():
    """Two servers, one Erlang: B = (1/2) / (1 + 1 + 1/2) = 1/5, C = B / (1 - rho (1 - B)) = 1/3."""
    assert PLAN["erlang"](0.5, 2) == pytest.approx(1 / 3)
    assert PLAN["erlang"](0.7, 1) == pytest.approx(0.7), "one server: whoever finds it busy waits"
