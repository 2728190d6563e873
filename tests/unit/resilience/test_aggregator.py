"""Are errors counted, windowed and bounded, and their texts left out?"""

import json

from actors.protocol.clock import ManualClock
from actors.protocol.errors import BackendTimeout, BackendUnavailable, LLMError
from actors.resilience.aggregator import EXAMPLES_KEPT, MAX_KEYS, OTHER, ErrorAggregator

SECRET = "the prompt"


def test_errors_are_counted_by_component_code_and_backend() -> None:
    aggregator = ErrorAggregator(ManualClock())
    for backend in ("a", "b", "b"):
        aggregator.record(BackendTimeout(SECRET, backend), "backend", "call")

    assert aggregator.count("backend", "timeout", "b") == 2
    assert aggregator.count("backend", "timeout") == 0
    first, second = aggregator.report()["errors"]
    assert (first["backend"], first["count"], second["backend"]) == ("b", 2, "a")


def test_windows_forget_and_the_total_does_not() -> None:
    clock = ManualClock()
    aggregator = ErrorAggregator(clock)
    for _ in range(3):
        aggregator.record(BackendUnavailable("down", "b"), "backend", "call")
        clock.advance(300.0)

    (entry,) = aggregator.report()["errors"]

    assert (entry["count"], entry["windows"]) == (3, {"1m": 0, "10m": 2, "1h": 3})


def test_minutes_beyond_the_hour_are_not_kept() -> None:
    clock = ManualClock()
    aggregator = ErrorAggregator(clock)
    for _ in range(200):
        aggregator.record(BackendUnavailable("down", "b"), "backend", "call")
        clock.advance(60.0)

    (counts,) = aggregator._counts.values()
    assert len(counts.by_minute) <= 62
    assert counts.total == 200


def test_examples_are_recent_and_hold_no_text() -> None:
    aggregator = ErrorAggregator(ManualClock())
    for index in range(EXAMPLES_KEPT + 10):
        aggregator.record(BackendTimeout(SECRET, f"b{index}"), "backend", "call")

    recent = aggregator.report()["recent"]

    assert (len(recent), recent[0]["backend"], recent[0]["code"]) == (EXAMPLES_KEPT, "b109", "timeout")
    assert SECRET not in json.dumps(aggregator.report())


def test_keys_beyond_the_limit_are_counted_together() -> None:
    aggregator = ErrorAggregator(ManualClock())
    for index in range(MAX_KEYS + 7):
        aggregator.record(LLMError("x", code=f"code_{index}"), "edge", "serve")

    assert aggregator.count(OTHER, OTHER) == 7
    assert aggregator.report()["total"] == MAX_KEYS + 7


def test_what_was_saved_goes_on_in_the_next_process() -> None:
    clock = ManualClock(now_s=50_000.0)
    before = ErrorAggregator(clock)
    before.record(BackendUnavailable("down", "b"), "backend", "call")
    clock.advance(300.0)
    before.record(BackendUnavailable("down", "b"), "backend", "call")
    later = ManualClock(now_s=5.0, epoch_s=clock.wall_s() + 415.0)  # 7 minutes later, another monotonic clock

    after = ErrorAggregator(later)
    after.restore(json.loads(json.dumps(before.saved())))
    after.record(BackendTimeout("late", "b"), "backend", "call")

    down, late = after.report()["errors"]
    assert (down["count"], down["windows"]) == (2, {"1m": 0, "10m": 1, "1h": 2})
    assert (late["count"], late["windows"]["1m"]) == (1, 1)
    assert [one["code"] for one in after.report()["recent"]] == ["timeout", *["backend_unavailable"] * 2]
