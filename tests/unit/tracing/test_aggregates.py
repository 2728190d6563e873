"""Are the sums right, recent and bounded?"""

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.messages import Usage
from actors.tracing.aggregates import MAX_CODES, OTHER, Aggregates, Key, Tally

KEY = Key("backend", "call", "b")
SUMS = ("count", "cancelled", "errors", "prompt_tokens", "completion_tokens", "cost_usd", "timed_tokens", "timed_ms")


def note(tally: Tally, duration_ms: float, outcome: str = "ok") -> None:
    tally.note(outcome, duration_ms, usage=Usage(10, 2), cost_usd=0.5)


def test_successes_failures_and_cancellations_are_told_apart() -> None:
    tally = Tally()
    for outcome in ("ok", "ok", "timeout", "cancelled"):
        note(tally, 100.0, outcome)

    assert (tally.count, tally.failed, tally.cancelled) == (4, 1, 1)
    assert tally.error_rate_01 == pytest.approx(1 / 3)
    assert tally.errors == {"timeout": 1}
    assert (tally.prompt_tokens, tally.completion_tokens, tally.cost_usd) == (40, 8, 2.0)


def test_many_at_once_are_counted_like_one_by_one() -> None:
    happened: list[tuple[str, float, float | None, Usage | None, float | None]] = [
        ("ok", 100.0, 10.0, Usage(10, 2), 0.5),
        ("ok", 50.0, None, None, None),
        ("timeout", 900.0, None, Usage(10, 1), 0.25),
        ("cancelled", 5.0, 4.0, Usage(10, 0), None),
        ("timeout", 901.0, None, None, None),
    ]
    singly, at_once = Tally(), Tally()
    for one in happened:
        singly.note(*one)
    outcomes, durations, ttfts, used, costs = zip(*happened, strict=True)

    prompt = [one and one.prompt_tokens for one in used]
    completion = [one and one.completion_tokens for one in used]
    at_once.note_all(outcomes, durations, ttfts, prompt, completion, costs)

    assert all(getattr(at_once, name) == getattr(singly, name) for name in SUMS)
    assert (at_once.latency.count, at_once.latency.sum_ms) == (2, 150.0)
    assert (at_once.ttft.count, at_once.ttft.sum_ms) == (1, 10.0)


def test_a_failed_or_cancelled_call_teaches_no_latency() -> None:
    tally = Tally()
    note(tally, 200.0)
    note(tally, 1.0, "backend_unavailable")
    note(tally, 1.0, "cancelled")

    assert (tally.latency.count, tally.latency.min_ms) == (1, 200.0)


def test_windows_forget_and_the_total_does_not() -> None:
    clock = ManualClock()
    aggregates = Aggregates(clock)
    aggregates.add(KEY, "ok", 1.0)
    clock.advance(300.0)
    aggregates.add(KEY, "ok", 2.0)
    clock.advance(75.0)
    aggregates.add(KEY, "ok", 3.0)

    counts = {name: tally.count for name, tally in aggregates.windows(KEY)}

    assert counts == {"1m": 1, "10m": 3, "1h": 3}
    clock.advance(3700.0)
    assert {name: tally.count for name, tally in aggregates.windows(KEY)} == {"1m": 0, "10m": 0, "1h": 0}
    assert aggregates.total(KEY).count == 3


def test_a_ring_holds_no_more_slices_than_its_window() -> None:
    clock = ManualClock()
    aggregates = Aggregates(clock)
    for _ in range(500):
        clock.advance(30.0)
        aggregates.add(KEY, "ok", 1.0)

    rings = aggregates._series[KEY]._rings

    assert [len(ring._by_slice) <= ring.slices + 1 for ring in rings] == [True, True]


def test_keys_beyond_the_limit_are_summed_up_together() -> None:
    aggregates = Aggregates(ManualClock(), max_keys=3)
    for index in range(10):
        aggregates.add(Key("backend", "call", f"b{index}"), "ok", 1.0)

    assert len(aggregates) == 4
    assert aggregates.overflowed == 7
    assert aggregates.total(Key(OTHER, OTHER)).count == 7


def test_error_codes_beyond_the_limit_are_counted_together() -> None:
    tally = Tally()
    for index in range(MAX_CODES + 5):
        note(tally, 1.0, f"code_{index}")

    assert len(tally.errors) == MAX_CODES + 1
    assert tally.errors[OTHER] == 5


def test_without_windows_only_the_total_is_kept() -> None:
    aggregates = Aggregates(ManualClock(), windowed=False)
    aggregates.add(KEY, "ok", 1.0)

    assert aggregates.total(KEY).count == 1
    assert aggregates.window(KEY, 60.0).count == 0


def test_a_key_that_was_never_counted_is_empty() -> None:
    assert Aggregates().total(KEY).count == 0
    assert Aggregates().window(KEY, 60.0).error_rate_01 == 0.0
