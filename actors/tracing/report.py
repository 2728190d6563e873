"""What is slow, what fails, what does it cost? The performance report as JSON, from sums that others kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import Aggregates, Key, Tally
from actors.tracing.histogram import RELATIVE_ERROR_01, Histogram

FAILING_ABOVE_01: Final = 0.01

REQUEST: Final = Key("gateway", "request")
OVERHEAD: Final = Key("gateway", "overhead")
BACKEND_COMPONENT: Final = "backend"
CALL: Final = "call"
QUEUE: Final = "queue"


def backend_key(backend: str) -> Key:
    """Where the upstream calls to one backend are summed up."""
    return Key(BACKEND_COMPONENT, CALL, backend)


def queue_key(backend: str) -> Key:
    """Where the waits for a slot are summed up, of those calls to one backend that had to wait."""
    return Key(BACKEND_COMPONENT, QUEUE, backend)


@dataclass(frozen=True, slots=True)
class Background:
    """What a report says beside the sums. `slowest`: requests, `slowest_operations`: one of each; slowest first.
    `recent_failures`, `recent_slow`: requests, newest first.
    """

    started_at_s: float
    uptime_s: float
    dropped_records: int = 0
    slowest: Sequence[JsonObject] = ()
    slowest_operations: Sequence[JsonObject] = ()
    recent_failures: Sequence[JsonObject] = ()
    recent_slow: Sequence[JsonObject] = ()
    details: Mapping[str, object] = field(default_factory=dict)


def performance_report(aggregates: Aggregates, background: Background, *, windows: bool = True) -> JsonObject:
    """The report. All times in ms; percentiles are within `relative_error_01` and speak of successes only.

    Operations and backends are in alphabetical order; `windows` adds the last 1, 10 and 60 minutes to each.
    """
    keys = aggregates.keys()
    return {
        "started_at": datetime.fromtimestamp(background.started_at_s, UTC).isoformat(timespec="seconds"),
        "uptime_s": round(background.uptime_s, 3),
        "relative_error_01": RELATIVE_ERROR_01,
        "dropped_records": background.dropped_records,
        "overflowed_records": aggregates.overflowed,
        "requests": _entry(aggregates, REQUEST, windows=windows),
        "overhead": overhead(aggregates),
        "operations": [_named(key) | _entry(aggregates, key, windows=windows) for key in keys],
        "backends": [
            _backend(aggregates, key, windows=windows) for key in keys if key == backend_key(key.backend or "")
        ],
        "failing": _failing(aggregates, keys),
        "slowest": list(background.slowest),
        "slowest_operations": list(background.slowest_operations),
        "recent_failures": list(background.recent_failures),
        "recent_slow": list(background.recent_slow),
        **background.details,
    }


def overhead(aggregates: Aggregates) -> JsonObject:
    """Our own time per request, and its share of the whole (0..1, `None` before the first request)."""
    own, whole = aggregates.total(OVERHEAD).latency, aggregates.total(REQUEST).latency
    return {
        **latency_figures(own),
        "upstream_mean_ms": _rounded(_difference(whole.mean_ms, own.mean_ms)),
        "share_01": _rounded(own.sum_ms / whole.sum_ms if whole.sum_ms else None, 5),
    }


def tally_figures(tally: Tally) -> JsonObject:
    """The figures of one tally; `None` where nothing was measured."""
    return {
        "count": tally.count,
        "cancelled": tally.cancelled,
        "failed": tally.failed,
        "error_rate_01": round(tally.error_rate_01, 5),
        "errors": dict(sorted(tally.errors.items())),
        **latency_figures(tally.latency),
        "ttft": latency_figures(tally.ttft),
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
        "tokens_per_s": _rounded(_tokens_per_s(tally)),
        "cost_usd": round(tally.cost_usd, 9),
    }


def _tokens_per_s(tally: Tally) -> float | None:
    """Completion tokens per second of successful work, the waiting for the first of them included."""
    return tally.timed_tokens * 1000 / tally.timed_ms if tally.timed_ms else None


def latency_figures(histogram: Histogram) -> JsonObject:
    """Minimum, mean, p50, p95, p99 and maximum in ms."""
    return {
        "min_ms": _rounded(histogram.min_ms),
        "mean_ms": _rounded(histogram.mean_ms),
        "p50_ms": _rounded(histogram.quantile(0.50)),
        "p95_ms": _rounded(histogram.quantile(0.95)),
        "p99_ms": _rounded(histogram.quantile(0.99)),
        "max_ms": _rounded(histogram.max_ms),
    }


def _entry(aggregates: Aggregates, key: Key, *, windows: bool) -> JsonObject:
    figures = tally_figures(aggregates.total(key))
    if windows:
        figures["windows"] = {name: tally_figures(tally) for name, tally in aggregates.windows(key)}
    return figures


def _backend(aggregates: Aggregates, key: Key, *, windows: bool) -> JsonObject:
    return {"name": key.backend} | _entry(aggregates, key, windows=windows)


def _failing(aggregates: Aggregates, keys: Iterable[Key]) -> list[JsonObject]:
    """Operations with more than 1 % errors since the start, worst first."""
    tallies = [(key, aggregates.total(key)) for key in keys]
    failing = [(key, tally) for key, tally in tallies if tally.error_rate_01 > FAILING_ABOVE_01]
    failing.sort(key=lambda pair: -pair[1].error_rate_01)
    return [
        _named(key) | {"error_rate_01": round(tally.error_rate_01, 5), "errors": dict(sorted(tally.errors.items()))}
        for key, tally in failing
    ]


def _named(key: Key) -> JsonObject:
    return {"component": key.component, "operation": key.operation, "backend": key.backend}


def _difference(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else whole - part


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
