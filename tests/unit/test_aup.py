import itertools
import json
import math

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
    with pytest.raises(ValueError, match="at least one point"):
        aup([])


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -1.0])
def test_numbers_that_cannot_be_are_named(odd):
    for points in ([(odd, 50.0)], [(1.0, odd)], [(1.0, 50.0), (odd, 50.0)], [(1, 50.0), (2, odd)]):
        with pytest.raises(ValueError, match=f"no use for the point .*{odd}"):
            aup(points)
    with pytest.raises(ValueError, match=f"best={odd}"):
        aup([(1.0, 50.0)], best=odd)
    with pytest.raises(ValueError, match=f"alpha={odd}"):
        aup([(1.0, 50.0)], alpha=odd)


def test_nothing_written_and_more_than_all_right_are_no_points():
    for point in ((0.0, 50.0), (1.0, 100.5)):
        with pytest.raises(ValueError, match="no use for the point"):
            aup([point])


def test_a_best_far_below_does_not_overflow():
    assert weight(100, 1e-6) == 1.0
    assert aup([(1, 90.0), (2, 90.0)], best=1e-6).value == 180


def test_points_of_one_rate_count_the_same_in_any_order():
    points = [(1, 80), (1, 76), (3, 76), (5, 74.5)]
    # by hand: start 80, so 74.5 is out; 80 + 2 * 76 W(76 | 80) = 80 + 152 * 0.860708
    for mixed in itertools.permutations(points):
        area = aup(mixed)
        assert area.value == pytest.approx(80 + 152 * 0.860708, abs=1e-3)
        assert area.dropped == 1


@pytest.mark.parametrize(
    ("start", "fair"), [(0.68, True), (1.0, True), (1.1, True), (1.11, False), (8.64, False)]
)
def test_an_area_compares_if_its_curve_starts_at_one_token_per_forward(start, fair):
    area = aup([(9.0, 90.0), (start, 91.0)])
    assert area.start == start
    assert area.comparable is fair


CURVES = st.lists(st.tuples(st.floats(1, 50), st.floats(1, 100)), min_size=1, max_size=8)


@given(CURVES, st.randoms())
def test_order_does_not_matter_and_no_area_beats_the_rectangle(points, random):
    area = aup(points)
    mixed = sorted(points, key=lambda _: random.random())
    assert aup(mixed).value == pytest.approx(area.value)
    assert 0 < area.value <= max(rho for rho, _ in points) * area.best * (1 + 1e-9)
