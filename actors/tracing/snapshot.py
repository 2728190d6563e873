"""How do sums outlive the process that kept them? As rows of JSON, and back."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import Key, Tally
from actors.tracing.histogram import Histogram

SUMS: Final = ("count", "cancelled", "prompt_tokens", "completion_tokens", "cost_usd", "timed_tokens", "timed_ms")

Rows = list[list[Any]]


def rows_of(tallies: Mapping[Key, Tally]) -> Rows:
    """One row per key."""
    return [[*key, _tally_json(tally)] for key, tally in tallies.items()]


def tallies_in(rows: Iterable[list[Any]]) -> dict[Key, Tally]:
    """What `rows_of` was given."""
    return {Key(component, operation, backend): _tally(tally) for component, operation, backend, tally in rows}


def _tally_json(tally: Tally) -> JsonObject:
    return {
        **{name: getattr(tally, name) for name in SUMS},
        "errors": tally.errors,
        "latency": _histogram_json(tally.latency),
        "ttft": _histogram_json(tally.ttft),
    }


def _tally(told: JsonObject) -> Tally:
    return Tally(
        **{name: told.get(name, 0) for name in SUMS},  # a former release knew fewer of them
        errors=dict(told["errors"]),
        latency=_histogram(told["latency"]),
        ttft=_histogram(told["ttft"]),
    )


def _histogram_json(histogram: Histogram) -> list[Any]:
    buckets = [list(pair) for pair in histogram.buckets()]
    return [histogram.count, histogram.sum_ms, histogram.min_ms, histogram.max_ms, buckets]


def _histogram(told: list[Any]) -> Histogram:
    count, sum_ms, min_ms, max_ms, buckets = told
    return Histogram.of(count, sum_ms, min_ms, max_ms, [(int(bucket), int(n)) for bucket, n in buckets])
