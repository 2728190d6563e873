"""What do the measurements of several rounds say?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.benching.results import Results, Row, Spread, percentile, rotated, spread


def row(contestant: str, number: int, errors: int = 0, case: str = "c64", **figures: float) -> Row:
    return Row(contestant, case, number, figures, errors)


def test_the_spread_is_median_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)


def test_no_values_have_no_spread() -> None:
    assert spread([]) is None


def test_a_percentile_is_one_of_the_values_by_nearest_rank() -> None:
    values = [10.0, 20.0, 30.0, 40.0]

    assert [percentile(values, share) for share in (0.0, 0.25, 0.5, 0.51, 0.99)] == [10.0, 10.0, 20.0, 30.0, 40.0]


def test_there_is_no_percentile_of_no_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.floats(0, 1))
def test_at_least_that_share_of_the_values_is_not_above_a_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)

    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_a_ratio_is_taken_within_each_round() -> None:
    rows = [row("a", 1, per_s=100), row("b", 1, per_s=50), row("a", 2, per_s=30), row("b", 2, per_s=10)]

    assert Results(rows).ratio("a", "b", "c64", "per_s") == Spread(2.5, 2.0, 3.0)


def test_a_round_that_one_of_both_missed_is_left_out_of_the_ratio() -> None:
    rows = [row("a", 1, per_s=100), row("a", 2, per_s=30), row("b", 2, per_s=10)]

    assert Results(rows).ratio("a", "b", "c64", "per_s") == Spread(3.0, 3.0, 3.0)


def test_what_is_added_is_the_difference_to_the_upstream_of_the_same_round() -> None:
    rows = [row("upstream", 1, p50_ms=1), row("a", 1, p50_ms=3), row("upstream", 2, p50_ms=2), row("a", 2, p50_ms=3)]

    assert Results(rows).added("a", "c64", "p50_ms") == Spread(1.5, 1.0, 2.0)


def test_a_ratio_of_what_is_added_leaves_out_rounds_in_which_the_other_added_nothing() -> None:
    rows = [
        *(row("upstream", number, p50_ms=1) for number in (1, 2)),
        *(row("a", number, p50_ms=4) for number in (1, 2)),
        row("b", 1, p50_ms=1),
        row("b", 2, p50_ms=3),
    ]

    assert Results(rows).ratio("a", "b", "c64", "p50_ms", added=True) == Spread(1.5, 1.5, 1.5)


def test_what_was_not_measured_has_no_value() -> None:
    results = Results([row("a", 1, per_s=1)])

    assert results.value("a", "c64", "p50_ms") is None
    assert results.added("a", "c64", "per_s") is None
    assert results.ratio("a", "b", "c64", "per_s") is None


def test_errors_are_summed_over_rounds_and_cases() -> None:
    results = Results([row("a", 1, errors=2), row("a", 2, errors=1), row("a", 1, errors=4, case="c1"), row("b", 1, 9)])

    assert (results.errors("a"), results.errors("a", "c64")) == (7, 3)


def test_each_round_begins_with_the_next_contestant() -> None:
    assert [rotated("abc", by) for by in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert rotated("", 2) == []
