"""Records -> points, curves, comparisons; intervals against known values."""

import math

import numpy as np
import pytest

from records import answers, record, sweep
from unmask.errors import InputError
from unmask.evaluate import intervals
from unmask.evaluate.curve import scored
from unmask.evaluate.intervals import Interval, of_draws, resampled, wilson
from unmask.evaluate.metrics import curves, points


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (10, 100, 0.05523, 0.17437),  # worked out from the roots of n(p - x)^2 = z^2 x(1 - x)
        (0, 10, 0.0, 0.27753),  # z^2 / (n + z^2)
        (10, 10, 0.72247, 1.0),
        (1, 2, 0.09453, 0.90547),
    ],
)
def test_wilson_by_hand(successes, trials, low, high):
    found = wilson(successes, trials)
    assert found.value == successes / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


def test_wilson_as_scipy_has_it():
    stats = pytest.importorskip("scipy.stats")
    for successes, trials in [(0, 7), (3, 7), (7, 7), (98, 150), (1300, 1319)]:
        theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        found = wilson(successes, trials)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_shares_that_there_are_not(successes, trials):
    with pytest.raises(ValueError, match="have no share"):
        wilson(successes, trials)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says():
    rows = np.random.default_rng(5).normal(size=(400, 1))
    found = of_draws(0, resampled(rows)[:, 0] / 400)
    error = 1.96 * rows.std() / math.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * error, rel=0.1)


def test_chunks_do_not_change_the_draws(monkeypatch):
    rows = np.arange(12.0).reshape(6, 2)
    whole = resampled(rows)
    monkeypatch.setattr(intervals, "CELLS", 60)
    assert (resampled(rows) == whole).all()


def test_a_point_by_hand():
    rows = [
        record(index=0, tokens=60, forwards=10, seconds=0.5, latency=1.0, right=1.0),
        record(index=1, tokens=30, forwards=20, seconds=1.0, latency=2.0, right=0.0, left_out=3),
    ]
    (point,) = points(rows)
    assert point.indices == (0, 1)
    assert point.accuracy.value == 50.0
    assert point.tokens_per_forward.value == 3.0  # 90 / 30, no mean of 6 and 1.5
    assert point.tokens_per_second.value == 60.0
    assert (point.forwards, point.tokens, point.latency) == (15, 45, 1.5)
    assert (point.refresh_forwards, point.cached_forwards) == (2, 8)
    assert point.fed_per_token == pytest.approx(600 / 90)
    assert point.left_out == 1
    assert point.tokens_per_forward.low == 1.5
    assert point.tokens_per_forward.high == 6.0


def test_right_and_wrong_gets_wilson_and_partial_credit_the_bootstrap():
    (binary,) = points(answers(100, 10))
    assert binary.accuracy.low == pytest.approx(5.523, abs=1e-3)
    (partial,) = points([record(index=n, right=0.5) for n in range(10)])
    assert partial.accuracy == Interval(50.0, 50.0, 50.0)


def test_no_forward_and_no_time_give_no_rate():
    (point,) = points([record(tokens=0, forwards=0, seconds=0.0)])
    assert point.tokens_per_forward is None
    assert point.tokens_per_second is None
    assert point.fed_per_token is None
    assert scored(curves([point])) == []


def test_the_same_records_in_another_order_give_the_same_figures():
    rows = sweep()
    assert points(rows) == points(rows[::-1])


def test_a_record_given_twice_is_named():
    with pytest.raises(InputError, match="stands there twice") as caught:
        points([record(index=7), record(index=7)])
    assert record(index=7).key in str(caught.value)


def test_swept_settings_are_points_of_one_curve():
    (curve,) = curves(points(sweep()))
    assert curve.label == "d3llm"
    assert [dot.rate.value for dot in curve.dots] == [1, 10, 15]
    assert [dot.swept["threshold"] for dot in curve.dots] == pytest.approx([0, 0.1, 0.2])
    assert curve.indices == tuple(range(40))


def test_what_sets_setups_apart_stands_in_the_label():
    rows = [
        *answers(5, 5),
        *answers(5, 4, batch_size=8),
        *answers(5, 4, task="sudoku"),
        *answers(5, 4, method="vanilla", model="somewhere/LLaDA"),
    ]
    labels = {(curve.task, curve.label) for curve in curves(points(rows))}
    assert labels == {
        ("stories", "d3llm (batch_size 1)"),
        ("stories", "d3llm (batch_size 8)"),
        ("sudoku", "d3llm (batch_size 1)"),
        ("stories", "vanilla"),
    }


def test_models_settings_and_weights_tell_setups_apart():
    by_model = points([*answers(2, 1), *answers(2, 1, model="org/tiny-fast", weights="f" * 16)])
    assert [one.label for one in curves(by_model)] == ["d3llm (tiny)", "d3llm (tiny-fast)"]
    by_setting = points([*answers(2, 1), *answers(2, 1, settings={"threshold": 0.5})])
    assert "d3llm (threshold 0.5)" in [one.label for one in curves(by_setting)]
    by_weights = points([*answers(2, 1), *answers(2, 1, weights="f" * 16)])
    assert [one.label for one in curves(by_weights)][1] == "d3llm (ffffffff)"


def test_two_states_of_one_model_beside_another_model_have_labels_of_their_own():
    """A label that stood for two would merge them in averages and radars."""
    states = [answers(2, 1, weights=letter * 12) for letter in "ab"]
    found = curves(points([*states[0], *states[1], *answers(2, 1, model="fast", weights="c")]))
    assert [one.label for one in found] == [
        "d3llm (fast, c)", "d3llm (tiny, aaaaaaaa)", "d3llm (tiny, bbbbbbbb)",
    ]  # fmt: skip


def test_the_interval_of_an_area_contains_it_and_needs_the_same_examples():
    rows = sweep()
    (whole,) = scored(curves(points(rows)))
    assert whole.area.low <= whole.area.value <= whole.area.high
    (torn,) = scored(curves(points(rows[1:])))
    assert torn.area.low is None
    assert torn.curve.indices is None


def test_the_company_sets_the_scale_and_the_own_area_does_not_change():
    alone = scored(curves(points(sweep())))[0]
    together = scored(curves(points([*sweep(), *answers(40, 40, method="ar")])))
    ours = next(one for one in together if one.curve.label == "d3llm")
    assert ours.best == 100.0
    assert ours.area.value < alone.area.value
    assert ours.own == alone.own


def test_dots_out_of_the_band_are_counted_and_not_operated():
    slow = answers(100, 90, threshold=0.1, forwards=60)
    rows = [*slow, *answers(100, 84, threshold=0.2, forwards=5)]
    (found,) = scored(curves(points(rows)))
    assert found.dropped == 1
    assert found.curve.kept() == (True, False)
    assert found.curve.operating().accuracy.value == 90
    assert found.area.value == pytest.approx(90)
