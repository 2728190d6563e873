"""Does a breaker open, try and close when it should, and not otherwise?"""

import pytest

from actors.protocol.clock import ManualClock
from actors.resilience.breaker import Breaker, BreakerPolicy, BreakersOfRecord

POLICY = BreakerPolicy(failures=3, share_01=0.5, window_s=10.0, pause_s=1.0, longest_pause_s=5.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(POLICY, clock)


def test_it_opens_with_the_third_failure(breaker: Breaker) -> None:
    assert [breaker.note("timeout") for _ in range(3)] == [False, False, True]
    assert breaker.is_open


def test_it_stays_closed_while_most_calls_succeed(breaker: Breaker) -> None:
    for outcome in ("ok", "timeout", "ok", "ok", "timeout", "ok", "ok", "timeout"):  # 3 of 8
        breaker.note(outcome)
    assert not breaker.is_open


def test_failures_that_are_long_past_do_not_count(breaker: Breaker, clock: ManualClock) -> None:
    breaker.note("timeout")
    breaker.note("timeout")
    clock.advance(10.1)
    assert not breaker.note("timeout")


@pytest.mark.parametrize("outcome", ["request_refused", "content_filter", "rate_limit_exceeded", "cancelled"])
def test_what_a_healthy_backend_does_too_is_no_fault(breaker: Breaker, outcome: str) -> None:
    for _ in range(9):
        breaker.note(outcome)
    assert not breaker.is_open


def test_a_refusal_of_our_key_opens_it_at_once(breaker: Breaker) -> None:
    assert breaker.note("upstream_key_refused")


def opened(breaker: Breaker) -> Breaker:
    for _ in range(3):
        breaker.note("timeout")
    return breaker


def test_after_a_pause_one_call_may_try(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    assert not breaker.is_half_open
    clock.advance(1.0)
    assert breaker.is_half_open
    breaker.is_trying = True
    assert not breaker.is_half_open


def test_a_try_that_succeeds_closes_it(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker).is_trying = True
    assert breaker.note("ok")
    assert (breaker.is_open, breaker.is_quiet) == (False, True)


def test_each_failed_try_doubles_the_pause_up_to_a_limit(breaker: Breaker) -> None:
    pauses_s = [opened(breaker).pause_s]
    for _ in range(4):
        breaker.is_trying = True
        breaker.note("timeout")
        pauses_s.append(breaker.pause_s)
    assert pauses_s == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_try_that_is_cancelled_says_nothing(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker).is_trying = True
    clock.advance(1.0)
    assert not breaker.note("cancelled")
    assert breaker.is_half_open


def test_calls_that_were_under_way_when_it_opened_change_nothing(breaker: Breaker) -> None:
    opened(breaker)
    assert not breaker.note("ok")
    assert not breaker.note("timeout")
    assert breaker.pause_s == 1.0


def test_the_first_process_that_shuts_a_backend_holds_its_breaker() -> None:
    record = BreakersOfRecord()
    record.hear("one", frozenset({"a"}))
    record.hear("two", frozenset({"a", "b"}))
    assert record.holders == {"a": "one", "b": "two"}

    record.hear("two", frozenset())
    assert record.holders == {"a": "one"}
    record.forget("one")
    assert record.holders == {}
