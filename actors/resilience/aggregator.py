"""What has gone wrong lately, where, and how often?"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError
from actors.protocol.messages import JsonObject

MAX_KEYS: Final = 256
EXAMPLES_KEPT: Final = 100
OTHER: Final = "other"
MINUTES: Final = {"1m": 1, "10m": 10, "1h": 60}


class ErrorKey(NamedTuple):
    """What is counted together."""

    component: str
    code: str
    backend: str | None = None


@dataclass(slots=True)
class ErrorCounts:
    """How often since the start, and per minute for the last hour."""

    total: int = 0
    by_minute: dict[int, int] = field(default_factory=dict)

    def add(self, minute: int) -> None:
        self.total += 1
        if minute not in self.by_minute:
            for old in [old for old in self.by_minute if old <= minute - MINUTES["1h"] - 1]:
                del self.by_minute[old]
        self.by_minute[minute] = self.by_minute.get(minute, 0) + 1

    def within(self, minutes: int, now_minute: int) -> int:
        """The count of the running minute and of so many whole ones before it."""
        return sum(count for minute, count in self.by_minute.items() if minute >= now_minute - minutes)


class ErrorAggregator:
    """Counts errors per component, code and backend, and keeps recent examples: which and where, never their text."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._counts: dict[ErrorKey, ErrorCounts] = {}
        self._examples: deque[JsonObject] = deque(maxlen=EXAMPLES_KEPT)

    @property
    def total(self) -> int:
        """All errors since the start."""
        return sum(counts.total for counts in self._counts.values())

    def record(self, error: LLMError, component: str, operation: str) -> None:
        """Counts one error."""
        self.note(component, operation, error.code, error.backend, error.status)

    def note(
        self,
        component: str,
        operation: str,
        code: str,
        backend: str | None = None,
        status: int | None = None,
        **facts: str,
    ) -> None:
        """Counts one error of which no more is known than this; `facts` stand in its example.

        Keys beyond 256 are counted under `other`.
        """
        key = ErrorKey(component, code, backend)
        counts = self._counts.get(key)
        if counts is None and len(self._counts) >= MAX_KEYS:
            key = ErrorKey(OTHER, OTHER)
            counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = ErrorCounts()
        counts.add(self._minute())
        self._examples.append(
            {
                "at_s": round(self._clock.wall_s(), 3),
                "component": component,
                "operation": operation,
                "code": code,
                "status": status,
                "backend": backend,
                **facts,
            }
        )

    def count(self, component: str, code: str, backend: str | None = None) -> int:
        """How often this happened since the start."""
        counts = self._counts.get(ErrorKey(component, code, backend))
        return counts.total if counts else 0

    def report(self) -> JsonObject:
        """Counts since the start and within windows (up to a minute longer than named), most frequent first."""
        now_minute = self._minute()
        ranked = sorted(self._counts.items(), key=lambda item: -item[1].total)
        errors = [
            {
                "component": key.component,
                "code": key.code,
                "backend": key.backend,
                "count": counts.total,
                "windows": {name: counts.within(minutes, now_minute) for name, minutes in MINUTES.items()},
            }
            for key, counts in ranked
        ]
        return {
            "total": self.total,
            "errors": errors,
            "recent": list(reversed(self._examples)),
        }

    def saved(self) -> JsonObject:
        """All of it, for `restore` in the next process."""
        now_minute = self._minute()
        counts = [
            [*key, counts.total, [[now_minute - minute, count] for minute, count in counts.by_minute.items()]]
            for key, counts in self._counts.items()
        ]
        return {"at_s": self._clock.wall_s(), "counts": counts, "examples": list(self._examples)}

    def restore(self, saved: JsonObject) -> None:
        """Goes on from what was saved, in place of what was counted here."""
        minutes_since = max(0, round((self._clock.wall_s() - saved["at_s"]) / 60.0))
        saved_minute = self._minute() - minutes_since
        self._counts = {
            ErrorKey(component, code, backend): ErrorCounts(
                total, {saved_minute - ago: count for ago, count in minutes}
            )
            for component, code, backend, total, minutes in saved["counts"]
        }
        self._examples.extend(saved["examples"])

    def _minute(self) -> int:
        return int(self._clock.monotonic_s() // 60.0)


error_aggregator = ErrorAggregator()
"""This process's own counts."""
