"""The published table: every area computed again, and the averages with the right divisor."""

import pytest

from unmask.errors import InputError
from unmask.evaluate import published
from unmask.evaluate.curve import scored
from unmask.evaluate.leaderboard import averages

TABLES = [(family, task) for family in published.FAMILIES for task in published.tasks(family)]
BEST = {
    ("LLaDA", "GSM8K-CoT"): 74.98, ("LLaDA", "MATH"): 41.15, ("Dream", "MATH"): 49.92,
    ("Dream", "GSM8K-CoT"): 83.94, ("Coder", "MBPP+"): 70.1,
}  # fmt: skip


def test_there_are_77_curves_in_14_tables():
    assert len(published.leaderboard()) == 77
    assert len(TABLES) == 14


@pytest.mark.parametrize(("family", "task"), TABLES)
def test_areas_are_those_printed_but_one(family, task):
    for row in scored(published.curves(family, task)):
        name = (family, task, row.curve.label)
        odd = name == ("Coder", "MBPP", "d3LLM-Coder-7B")
        expected = 186.1772 if odd else row.curve.printed
        assert row.area.value == pytest.approx(expected, abs=5e-5 if odd else 5e-3), name
        assert row.best == BEST.get((family, task), row.best)
        assert row.dropped == 0


@pytest.mark.parametrize(
    ("family", "label", "area", "tasks"),
    [
        ("LLaDA", "d3LLM-LLaDA", 274.28, 5),
        ("LLaDA", "Qwen-2.5-7B-it", 65.83, 5),
        ("Dream", "d3LLM-Dream", 221.67, 5),
        ("Dream", "EAGLE-3", 305.33, 5),
        ("Dream", "Qwen-2.5-7B-it", 66.77, 5),
        ("Coder", "d3LLM-Coder-7B", 184.29, 4),
        ("Coder", "Qwen2.5-Coder-7B", 80.62, 4),
    ],
)
def test_averages_divide_by_the_number_of_tasks(family, label, area, tasks):
    (found,) = [one for one in averages([], [family]) if one.label == label]
    assert found.area == pytest.approx(area, abs=6e-3)
    assert (found.tasks, found.of) == (tasks, tasks)


def test_the_own_area_does_without_the_others():
    rows = scored(published.curves("LLaDA", "MATH"))
    (found,) = [row for row in rows if row.curve.label == "d3LLM-LLaDA"]
    assert found.area.value == pytest.approx(107.64, abs=1e-2)
    assert found.own.value == pytest.approx(168.16, abs=1e-2)


def test_math_is_none_of_our_tasks():
    assert set(published.OURS.values()) == {"gsm8k", "gsm8k/long", "humaneval", "mbpp"}
    assert published.OURS.keys() <= {task for _, task in TABLES}


def test_families_are_found_in_any_case():
    assert published.family("llada") == "LLaDA"
    with pytest.raises(InputError, match="family='gpt' is not known"):
        published.family("gpt")
