"""Benchmark and tuning on a task whose score is no share of right answers."""

from dataclasses import replace

import pytest

from unmask.evaluate import examples as tasks
from unmask.evaluate.bench import Contender, measured, workload
from unmask.models.loading import load


@pytest.fixture(scope="module")
def partial():
    """Stories, of which every answer has half of the score."""
    return replace(tasks.find("stories"), metric="chrf", score=lambda example, text: {"chrf": 0.5})


def test_the_mean_score_is_told_under_its_name(partial):
    model = load("tiny-fast")
    load_ = workload(model, partial, tasks.examples(partial, 2), 2)
    line = measured(Contender("d3llm", model, "d3llm", {"max_new_tokens": 96}), load_)
    assert (line.score, line.shown()) == (0.5, "50.0")
    told = line.as_object()
    assert told["chrf"] == 0.5
    assert "accuracy" not in told
