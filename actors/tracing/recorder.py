"""Where do finished spans go in this process, and what do they add up to?"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import AttemptOutcome, JsonObject
from actors.tracing.aggregates import Aggregates, Key, Tally
from actors.tracing.records import SpanRecord
from actors.tracing.report import Background, performance_report
from actors.tracing.slowest import SLOWEST_KEPT, Slowest

FOLD_AT: Final = 256

Sink = Callable[[SpanRecord], object]


@dataclass(slots=True)
class Operations:
    """What one process did since it last told: sums per operation, and the slowest spans, one of each operation.

    `sender` names the process, `number` counts what it has told, from 1: so that nothing is counted twice.
    """

    sender: str
    number: int
    tallies: Mapping[Key, Tally] = field(default_factory=dict)
    slowest: Sequence[SpanRecord] = ()


class PerformanceTracer:
    """Takes the spans of one process, and sums them up for its own report and for whoever collects them.

    Its memory is bounded by the number of operations, however many spans there are. `enabled` may be read on hot
    paths; spans that are open while it changes are still recorded.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.enabled = True
        self.clock = clock
        self._sink: Sink | None = None
        self._unfolded: list[SpanRecord] = []
        self._sections: defaultdict[Key, list[float]] = defaultdict(list)
        self._whole = Aggregates(clock, windowed=False)
        self._untold = Aggregates(clock, windowed=False)
        self._slowest: dict[Key, SpanRecord] = {}
        self._slowest_ever = Slowest()
        self._name = secrets.token_hex(8)
        self._told = 0
        self._started_at_s = clock.wall_s()
        self._born_s = clock.monotonic_s()

    def configure(self, *, enabled: bool, sink: Sink | None = None) -> None:
        """Switches tracing on or off; a `sink` sees every span as it ends."""
        self.enabled = enabled
        self._sink = sink

    def record(self, span: SpanRecord) -> None:
        """Takes a finished span. Never waits."""
        if self._sink is not None:
            self._sink(span)
        self._unfolded.append(span)
        if len(self._unfolded) >= FOLD_AT:
            self.fold()

    def section(self, key: Key) -> list[float]:
        """Where a section's durations (ms) are put as it succeeds; `fold` is to be called when there are `FOLD_AT`."""
        return self._sections[key]

    def note_failure(self, key: Key, outcome: AttemptOutcome, duration_ms: float) -> None:
        """Counts a section that failed, or was cancelled."""
        tally = Tally()
        tally.note(outcome, duration_ms)
        self._whole.merge({key: tally})
        self._untold.merge({key: tally})

    def collect(self) -> Operations | None:
        """What was recorded since the last time; `None` if nothing was."""
        self.fold()
        if not len(self._untold):
            return None
        self._told += 1
        slowest = sorted(self._slowest.values(), key=lambda span: -span.duration_ms)[:SLOWEST_KEPT]
        told = Operations(self._name, self._told, self._untold.totals(), slowest)
        self._untold = Aggregates(self.clock, windowed=False)
        self._slowest = {}
        return told

    def get_report(self) -> JsonObject:
        """The performance report of this process alone."""
        self.fold()
        background = Background(
            started_at_s=self._started_at_s,
            uptime_s=self.clock.monotonic_s() - self._born_s,
            slowest_operations=self._slowest_ever.report(),
        )
        return performance_report(self._whole, background, windows=False)

    def fold(self) -> None:
        """Sums up what came one by one."""
        spans, self._unfolded = self._unfolded, []
        tallies: defaultdict[Key, Tally] = defaultdict(Tally)
        for key, durations_ms in self._sections.items():
            if durations_ms:
                tallies[key].note_successes(durations_ms)
                durations_ms.clear()
        for span in spans:
            key = key_of(span)
            tallies[key].note(span.outcome, span.duration_ms, span.first_item_ms)
            slowest = self._slowest.get(key)
            if slowest is None or span.duration_ms > slowest.duration_ms:
                self._slowest[key] = span
                if self._slowest_ever.takes(span.duration_ms):
                    self._slowest_ever.note(key, span.as_json())
        self._whole.merge(tallies)
        self._untold.merge(tallies)


def key_of(span: SpanRecord) -> Key:
    """What a span is summed up under."""
    return Key(span.component, span.operation, span.backend)
