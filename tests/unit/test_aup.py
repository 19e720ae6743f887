import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import GOLDEN
from unmask.evaluate.aup import aup, weight

CASES = json.loads((GOLDEN / "aup.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_areas_of_the_reference(case):
    points = [tuple(point) for point in case["points"]]
    assert aup(points, case["y_max"], case["alpha"]).value == pytest.approx(case["aup"], rel=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "best", "expected"),
    [(75, 80, 0.82903), (76, 80, 0.86071), (80, 80, 1), (85, 80, 1), (40.6, 63.6, 0.33793)],
)
def test_weights(accuracy, best, expected):
    assert weight(accuracy, best) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("points", "best", "expected", "dropped"),
    [
        ([(1, 80), (2, 80), (4, 78)], 80, 312.364, 0),
        ([(1, 80), (5, 80)], 80, 400, 0),
        ([(1, 80), (3, 76), (6, 74)], 80, 225.4138, 1),
        ([(6, 74), (1, 80), (3, 76)], 80, 225.4138, 1),
        ([(1, 80), (3, 74), (6, 79)], 80, 470.2309, 1),
        ([(1, 41.15)], 99, 41.15, 0),
        ([(1, 74.02), (9.11, 73.09)], 74.98, 637.6549, 0),
    ],
)
def test_by_hand(points, best, expected, dropped):
    area = aup(points, best)
    assert area.value == pytest.approx(expected, abs=1e-3)
    assert area.dropped == dropped


def test_without_weights_it_is_the_plain_area():
    assert aup([(1, 80), (5, 78)], 80, alpha=0).value == pytest.approx(396)


def test_it_depends_on_the_company_unless_told_otherwise():
    points = [(1.0, 32.76), (5.74, 30.36)]
    assert aup(points, 41.15).value == pytest.approx(107.64, abs=1e-2)
    assert aup(points).value == pytest.approx(168.16, abs=1e-2)


def test_nobody_right_is_no_area():
    assert aup([(1, 0.0), (2, 0.0)]).value == 0


def test_no_point_is_an_error():
    for points in ([], [(0.0, 50.0)]):
        with pytest.raises(ValueError, match="at least one point"):
            aup(points)


CURVES = st.lists(st.tuples(st.floats(1, 50), st.floats(1, 100)), min_size=1, max_size=8)


@given(CURVES, st.randoms())
def test_order_does_not_matter_and_no_area_beats_the_rectangle(points, random):
    area = aup(points)
    mixed = sorted(points, key=lambda _: random.random())
    if len({rho for rho, _ in points}) == len(points):  # ties keep their order
        assert aup(mixed).value == pytest.approx(area.value)
    assert 0 < area.value <= max(rho for rho, _ in points) * area.best * (1 + 1e-9)
