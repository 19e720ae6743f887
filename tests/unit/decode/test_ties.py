"""Equal confidences are decided for the lowest position, in every batch."""

from __future__ import annotations

import pytest

from doubles import FakeDenoiser, births, model_of, sure_of
from unmask import generate

RULES = [
    {"strategy": "fixed_steps"},
    {"strategy": "margin"},
    {"strategy": "threshold", "threshold": 0.99},
    {"strategy": "low_entropy", "threshold": 0.0},
    {"strategy": "factor", "factor": 0.01},
    {"strategy": "frechet", "delta": 1.0},
]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["strategy"])


@every_rule
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("cache", ["none", "dual"])
def test_ties_are_decided_from_left_to_right(rule, rows, cache):
    model = model_of(FakeDenoiser(sure_of([0.7] * 20, tokens=[0] * 20)), 8, 4)
    asked = [[0] * (1 + row) for row in range(rows)]
    for result in generate(model, asked, "vanilla", cache=cache, **rule):
        first = result.trajectory.prompt_length
        assert births(result) == [[place] for place in range(first, first + 8)]


def test_two_of_four_equal_positions_are_the_first_two():
    model = model_of(FakeDenoiser(sure_of([0.5] * 5, tokens=[0] * 5)), 4, 4)
    [result] = generate(model, [0], "vanilla", steps=2)
    assert births(result) == [[1, 2], [3, 4]]
