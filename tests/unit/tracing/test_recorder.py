"""Where do spans go, and do they add up?"""

from actors.protocol.clock import ManualClock
from actors.tracing.recorder import FOLD_AT, PerformanceTracer
from actors.tracing.records import SpanRecord


def span(number: int, outcome: str = "ok") -> SpanRecord:
    return SpanRecord("router", "choose", outcome, 2.0, 0.0, number)


def test_spans_wait_to_be_drained_and_what_does_not_fit_is_counted() -> None:
    tracer = PerformanceTracer(ManualClock(), capacity=2)
    for number in (1, 2, 3):
        tracer.record(span(number))

    spans, dropped = tracer.drain()

    assert ([each.span_id for each in spans], dropped) == ([1, 2], 1)
    assert tracer.drain() == ([], 0)


def test_the_report_counts_drained_and_dropped_spans_too() -> None:
    clock = ManualClock()
    tracer = PerformanceTracer(clock, capacity=2)
    for number in range(FOLD_AT + 9):
        tracer.record(span(number))
    tracer.record(span(0, "timeout"))
    tracer.drain()
    clock.advance(5.0)

    report = tracer.get_report()

    (operation,) = report["operations"]
    assert (operation["count"], operation["errors"], operation["p50_ms"]) == (FOLD_AT + 10, {"timeout": 1}, 2.0)
    assert (report["dropped_records"], report["uptime_s"]) == (FOLD_AT + 8, 5.0)


def test_with_a_sink_nothing_is_buffered() -> None:
    tracer = PerformanceTracer(ManualClock())
    seen: list[SpanRecord] = []
    tracer.configure(enabled=True, sink=seen.append)

    tracer.record(span(1))

    assert [each.span_id for each in seen] == [1]
    assert tracer.drain() == ([], 0)
