"""Rates: how much passes in a minute, and when may the next call begin?"""

import math

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.messages import Usage
from actors.resilience.rates import Bucket, Rates, estimated_tokens


def passed(bucket: Bucket, clock: ManualClock, seconds: int, cost: float = 1.0) -> float:
    """How many units pass when somebody tries as often as possible."""
    total = 0.0
    for _ in range(seconds * 100):
        while bucket.has(cost):
            bucket.take(cost)
            total += cost
        clock.advance(0.01)
    return total


def test_a_minute_lets_through_its_rate_and_a_burst_of_a_thirtieth() -> None:
    clock = ManualClock()
    bucket = Bucket(600, clock)

    assert passed(bucket, clock, 60) == pytest.approx(600 + 20, abs=1)
    assert passed(bucket, clock, 60) == pytest.approx(600, abs=1)


def test_at_a_low_rate_one_request_passes_at_once_and_the_next_after_its_time() -> None:
    clock = ManualClock()
    bucket = Bucket(10, clock)
    bucket.take(1)

    assert bucket.wait_s(1) == pytest.approx(6.0)
    clock.advance(6.0 + 1e-9)
    assert bucket.has(1)


def test_what_costs_more_than_a_full_bucket_leaves_a_debt_that_is_paid_first() -> None:
    bucket = Bucket(600, ManualClock())  # 10 a second, 20 at once

    assert bucket.has(5_000)
    bucket.take(5_000)
    assert bucket.wait_s(1) == pytest.approx(4_981 / 10)
    assert bucket.owed_per_min() == pytest.approx(4_980 * 60 / 10)


def test_who_comes_later_waits_for_those_ahead() -> None:
    bucket = Bucket(60, ManualClock())  # one a second, two at once

    assert [bucket.wait_s(1, ahead) for ahead in (0, 1, 2, 9)] == [0, 0, 1, 8]


def test_another_rate_counts_from_now_on_and_cuts_what_was_saved_up() -> None:
    clock = ManualClock()
    bucket = Bucket(600, clock)
    bucket.resize(60)

    assert bucket.wait_s(2) == 0
    bucket.take(2)
    assert bucket.wait_s(1) == pytest.approx(1.0)


def test_without_any_rate_nothing_passes() -> None:
    bucket = Bucket(0, ManualClock())

    assert (bucket.has(1), bucket.wait_s(1)) == (False, math.inf)


def test_a_call_waits_for_the_slower_of_both_rates() -> None:
    rates = Rates(60, 6_000, ManualClock())
    rates.take(tokens=200)

    assert rates.take(tokens=1) is False
    assert rates.wait_s(tokens=150) == pytest.approx(1.5)  # 100 a second; a second request could begin at once
    assert rates.wait_s(tokens=0, calls_ahead=3) == pytest.approx(3.0)


def test_a_request_is_not_lost_when_the_tokens_are_used_up() -> None:
    rates = Rates(60, 600, ManualClock())
    rates.take(20)

    assert not rates.take(20)
    assert rates.requests is not None
    assert rates.requests.has(1)


def test_a_price_is_corrected_to_what_the_upstream_counted() -> None:
    rates = Rates(None, 600, ManualClock())
    rates.take(20)
    rates.correct(20, None)
    assert rates.wait_s(20) == pytest.approx(2.0)

    rates.correct(20, Usage(3, 7))

    assert rates.wait_s(20) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "x" * 400}]}, 100 + 256),
        ({"messages": [{"role": "user", "content": "x" * 40}], "max_tokens": 7}, 10 + 7),
        ({"messages": [], "max_completion_tokens": 5, "n": 3}, 15),
        (
            {"messages": [{"content": [{"type": "text", "text": "x" * 8}, {"type": "image_url"}]}, {"content": None}]},
            258,
        ),
        ({"messages": "nonsense", "max_tokens": "nonsense"}, 256),
    ],
)
def test_a_price_is_a_quarter_of_the_text_and_the_longest_answer(body: dict[str, object], tokens: int) -> None:
    assert estimated_tokens(body) == tokens
    assert Rates(None, 1).price(body) == tokens
    assert Rates(1, None).price(body) == 0
