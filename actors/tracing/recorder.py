"""Where do finished spans go in this process, and what do they add up to?"""

from collections.abc import Callable
from typing import Final

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import Aggregates, Key, Measurement
from actors.tracing.buffer import TelemetryBuffer
from actors.tracing.records import SpanRecord
from actors.tracing.report import Background, performance_report

CAPACITY: Final = 4096
FOLD_AT: Final = 256

Sink = Callable[[SpanRecord], object]


class PerformanceTracer:
    """Takes the spans of one process: keeps them for whoever drains them, or hands each to a sink at once.

    `enabled` may be read on hot paths; spans that are open while it changes are still recorded.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, capacity: int = CAPACITY) -> None:
        self.enabled = True
        self.clock = clock
        self._sink: Sink | None = None
        self._buffer: TelemetryBuffer[SpanRecord] = TelemetryBuffer(capacity)
        self._dropped_before = 0
        self._unfolded: list[SpanRecord] = []
        self._aggregates = Aggregates(clock, windowed=False)
        self._started_at_s = clock.wall_s()
        self._born_s = clock.monotonic_s()

    def configure(self, *, enabled: bool, sink: Sink | None = None) -> None:
        """Switches tracing on or off and says where spans go: to `sink`, or without one to the buffer of `drain`."""
        self.enabled = enabled
        self._sink = sink

    def record(self, span: SpanRecord) -> None:
        """Takes a finished span. Never waits; with the buffer full, the span is counted as dropped."""
        if self._sink is not None:
            self._sink(span)
        else:
            self._buffer.put(span)
        self._unfolded.append(span)
        if len(self._unfolded) >= FOLD_AT:
            self._fold()

    def drain(self, max_records: int | None = None) -> tuple[list[SpanRecord], int]:
        """Removes the buffered spans, oldest first; also says how many were dropped since the last time."""
        spans, dropped = self._buffer.take(max_records)
        self._dropped_before += dropped
        return spans, dropped

    def get_report(self) -> JsonObject:
        """The performance report of this process alone; dropped spans are in its sums."""
        self._fold()
        uptime_s = self.clock.monotonic_s() - self._born_s
        dropped = self._dropped_before + self._buffer.dropped
        return performance_report(self._aggregates, Background(self._started_at_s, uptime_s, dropped), windows=False)

    def _fold(self) -> None:
        spans, self._unfolded = self._unfolded, []
        self._aggregates.add(*map(measurement_of, spans))


def measurement_of(span: SpanRecord) -> Measurement:
    """What the sums need of a span."""
    key = Key(span.component, span.operation, span.backend)
    return Measurement(key, span.outcome, span.duration_ms, span.first_item_ms)
