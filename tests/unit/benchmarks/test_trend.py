"""Trends: what a straight line through measurements says, and how surely."""

import random

import pytest

from benchmarks.trend import student_t, trend


def test_points_on_a_line_have_its_slope_without_doubt() -> None:
    found = trend([0, 1, 2, 3], [5, 7, 9, 11])

    assert (found.slope, found.low, found.high) == pytest.approx((2, 2, 2))
    assert not found.may_be_flat


def test_the_interval_is_student_s() -> None:
    # Mean x 2, spread 10, slope 6 / 10; residuals 0.2, -0.4, 1.0, -1.6, 0.8 square to 4.4: error sqrt(4.4 / 3 / 10).
    found = trend([0, 1, 2, 3, 4], [1, 1, 3, 1, 4])

    assert found.slope == pytest.approx(0.6)
    assert found.high - found.slope == pytest.approx(3.182 * 0.38297, rel=0.01)
    assert found.slope - found.low == pytest.approx(found.high - found.slope)
    assert found.may_be_flat


def test_noise_about_a_level_is_called_flat_about_as_often_as_promised() -> None:
    rng = random.Random(7)

    flat = [trend(range(100), [rng.gauss(900, 5) for _ in range(100)]) for _ in range(400)]

    covering = sum(found.low <= 0 <= found.high for found in flat) / len(flat)
    assert 0.92 < covering < 0.98


def test_slow_growth_under_noise_is_found() -> None:
    rng = random.Random(7)

    found = trend(range(150), [900 + 0.2 * n + rng.gauss(0, 3) for n in range(150)])

    assert 0.17 < found.low < 0.2 < found.high < 0.23


def test_falling_is_no_growth() -> None:
    assert trend([0, 1, 2], [9, 6, 3]).may_be_flat


def test_a_slope_per_second_is_3600_times_as_large_per_hour() -> None:
    assert trend([0, 1, 2], [0, 0.5, 1]).scaled(3600).slope == pytest.approx(1800)


@pytest.mark.parametrize(("freedom", "table"), [(1, 12.706), (2, 4.303), (3, 3.182), (10, 2.228), (100, 1.984)])
def test_the_quantile_is_that_of_the_tables(freedom: int, table: float) -> None:
    assert student_t(freedom) == pytest.approx(table, rel=0.01)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [0, 1]), ([1, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 1])])
def test_too_little_to_tell_is_an_error(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="a trend needs"):
        trend(x, y)
