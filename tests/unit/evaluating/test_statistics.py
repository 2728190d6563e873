import random

import pytest

from actors.evaluating.statistics import Told, brier, expected_calibration_error, paired_bootstrap, reliability


def test_an_interval_holds_the_mean_and_shrinks_to_it_where_nothing_differs() -> None:
    wide = paired_bootstrap([1.0, -1.0, 1.0, 0.0], random.Random(0))

    assert wide.low < wide.mean == 0.25 < wide.high
    assert paired_bootstrap([0.5] * 9, random.Random(0)) == (0.5, 0.5, 0.5)


def test_the_interval_of_many_coin_flips_is_that_of_the_normal_distribution() -> None:
    found = paired_bootstrap([1.0, -1.0] * 200, random.Random(1))

    assert (found.low, found.high) == pytest.approx((-0.098, 0.098), abs=0.012)  # 1.96 / sqrt(400)


def test_no_differences_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        paired_bootstrap([], random.Random(0))


def test_calibration_is_measured_bin_by_bin() -> None:
    told = [Told(0.9, True), Told(0.9, False), Told(0.1, False), Told(0.1, False)]

    assert reliability(told) == [(0.1, 0.0, 2), (0.9, 0.5, 2)]
    assert expected_calibration_error(told) == pytest.approx(0.25)  # (0.1 + 0.4) / 2
    assert brier(told) == pytest.approx(0.21)  # (0.01 + 0.81 + 0.01 + 0.01) / 4
    assert (brier([]), expected_calibration_error([])) == (None, None)
