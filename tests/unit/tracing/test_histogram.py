"""Does the histogram keep its promises?"""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.tracing.histogram import MAX_BUCKETS, RELATIVE_ERROR_01, SHORTEST_MS, Histogram

durations = st.lists(st.floats(min_value=SHORTEST_MS, max_value=1e6), min_size=1, max_size=60)


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def test_an_empty_histogram_knows_nothing() -> None:
    empty = Histogram()

    assert (empty.count, empty.min_ms, empty.max_ms, empty.mean_ms, empty.quantile(0.5)) == (0, None, None, None, None)


def test_count_sum_minimum_and_maximum_are_exact() -> None:
    histogram = histogram_of([3.0, 1.0, 8.0])

    assert (histogram.count, histogram.sum_ms, histogram.min_ms, histogram.max_ms) == (3, 12.0, 1.0, 8.0)
    assert histogram.mean_ms == 4.0


@given(durations, st.floats(min_value=0, max_value=1))
def test_every_quantile_is_within_the_stated_error(values: list[float], share_01: float) -> None:
    exact = sorted(values)[max(0, math.ceil(share_01 * len(values)) - 1)]

    estimate = histogram_of(values).quantile(share_01)

    assert estimate is not None
    assert abs(estimate - exact) <= RELATIVE_ERROR_01 * exact * (1 + 1e-9)


@given(durations, durations)
def test_merging_equals_recording_all_in_one(left: list[float], right: list[float]) -> None:
    merged = Histogram.merged([histogram_of(left), histogram_of(right)])
    whole = histogram_of(left + right)

    assert (merged.count, merged.min_ms, merged.max_ms) == (whole.count, whole.min_ms, whole.max_ms)
    assert [merged.quantile(q / 10) for q in range(11)] == [whole.quantile(q / 10) for q in range(11)]


@given(st.lists(st.floats(min_value=0.0, max_value=2e7), max_size=60))
def test_recording_all_equals_recording_one_by_one(values: list[float]) -> None:
    singly, at_once = histogram_of(values), Histogram()
    at_once.record_all(values)

    assert dict(at_once.buckets()) == dict(singly.buckets())
    assert (at_once.count, at_once.min_ms, at_once.max_ms) == (singly.count, singly.min_ms, singly.max_ms)
    assert at_once.sum_ms == pytest.approx(singly.sum_ms)


@pytest.mark.parametrize("wrong", [-1.0, math.inf, math.nan])
def test_one_that_is_no_duration_among_many_is_refused(wrong: float) -> None:
    histogram = Histogram()

    with pytest.raises(ValueError, match="finite"):
        histogram.record_all([1.0, wrong, 2.0])

    assert histogram.count == 0


def test_merging_an_empty_one_changes_nothing() -> None:
    histogram = histogram_of([5.0])

    histogram.merge(Histogram())

    assert (histogram.count, histogram.quantile(0.5)) == (1, 5.0)


def test_the_number_of_buckets_is_bounded_whatever_comes() -> None:
    rng = random.Random(1)
    histogram = histogram_of([0.0, 1e300] + [10 ** rng.uniform(-9, 12) for _ in range(20_000)])

    assert len(histogram.buckets()) <= MAX_BUCKETS
    assert histogram.max_ms == 1e300


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        Histogram().record(wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_what_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Histogram().quantile(wrong)


def test_counts_up_to_bounds_are_cumulative() -> None:
    histogram = Histogram()
    for duration_ms in (1.0, 8.0, 80.0, 800.0):
        histogram.record(duration_ms)

    assert histogram.counts_up_to([5.0, 10.0, 100.0]) == [1, 2, 3]
