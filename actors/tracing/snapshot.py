"""How do sums outlive the process that kept them? As JSON, and back."""

from typing import Any

from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import Aggregates, Key, Tally
from actors.tracing.histogram import Histogram

SUMS = ("count", "cancelled", "prompt_tokens", "completion_tokens", "cost_usd")


def snapshot(aggregates: Aggregates) -> JsonObject:
    """Every sum since the start. Windows are not part of it: what happened within them is soon the past."""
    return {"totals": [[*key, _tally_json(aggregates.total(key))] for key in aggregates.keys()]}  # noqa: SIM118


def restore(aggregates: Aggregates, saved: JsonObject) -> None:
    """Adds the sums of a snapshot to those since the start."""
    for component, operation, backend, tally in saved["totals"]:
        aggregates.restore(Key(component, operation, backend), _tally(tally))


def _tally_json(tally: Tally) -> JsonObject:
    return {
        **{name: getattr(tally, name) for name in SUMS},
        "errors": tally.errors,
        "latency": _histogram_json(tally.latency),
        "ttft": _histogram_json(tally.ttft),
    }


def _tally(told: JsonObject) -> Tally:
    return Tally(
        **{name: told[name] for name in SUMS},
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
