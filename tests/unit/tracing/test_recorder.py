"""Where do spans go, and do they add up?"""

from actors.protocol.clock import ManualClock
from actors.tracing.aggregates import Key
from actors.tracing.recorder import FOLD_AT, PerformanceTracer
from actors.tracing.records import SpanRecord
from actors.tracing.slowest import SLOWEST_KEPT

CHOOSE = Key("router", "choose")


def span(number: int, outcome: str = "ok", duration_ms: float = 2.0) -> SpanRecord:
    return SpanRecord("router", "choose", outcome, duration_ms, 0.0, number)


def test_what_was_done_is_told_once() -> None:
    tracer = PerformanceTracer(ManualClock())
    for number in range(FOLD_AT + 1):
        tracer.record(span(number))

    told = tracer.collect()

    assert told is not None
    assert told.tallies[CHOOSE].count == FOLD_AT + 1
    assert tracer.collect() is None


def test_the_slowest_span_of_each_operation_is_told_the_slowest_first() -> None:
    tracer = PerformanceTracer(ManualClock())
    for number in range(SLOWEST_KEPT + 5):
        for duration_ms in (number + 0.5, number + 0.25):
            tracer.record(SpanRecord("router", f"step {number}", "ok", duration_ms, 0.0, number))

    told = tracer.collect()

    assert told is not None
    assert [slow.duration_ms for slow in told.slowest] == [number + 0.5 for number in range(SLOWEST_KEPT + 4, 4, -1)]


def test_what_is_told_has_a_name_and_a_number() -> None:
    tracer, numbers = PerformanceTracer(ManualClock()), []
    for number in range(2):
        tracer.record(span(number))
        told = tracer.collect()
        assert told is not None
        numbers.append((told.sender, told.number))

    (first, one), (second, two) = numbers
    assert (one, two, first == second) == (1, 2, True)
    assert first != PerformanceTracer()._name


def test_the_report_counts_what_was_told_too() -> None:
    clock = ManualClock()
    tracer = PerformanceTracer(clock)
    for number in range(FOLD_AT + 9):
        tracer.record(span(number))
    tracer.record(span(0, "timeout", duration_ms=9.0))
    tracer.collect()
    clock.advance(5.0)

    report = tracer.get_report()

    (operation,) = report["operations"]
    assert (operation["count"], operation["errors"], operation["p50_ms"]) == (FOLD_AT + 10, {"timeout": 1}, 2.0)
    assert report["uptime_s"] == 5.0
    assert [(slow["operation"], slow["duration_ms"]) for slow in report["slowest_operations"]] == [("choose", 9.0)]


def test_a_sink_sees_every_span() -> None:
    tracer = PerformanceTracer(ManualClock())
    seen: list[SpanRecord] = []
    tracer.configure(enabled=True, sink=seen.append)

    tracer.record(span(1))

    assert [each.span_id for each in seen] == [1]
