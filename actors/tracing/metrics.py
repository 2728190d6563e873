"""What does a monitoring system want to know? Counters and cumulative buckets per operation and account."""

from collections.abc import Iterator, Sequence
from typing import Final

from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import Aggregates
from actors.tracing.histogram import Histogram
from actors.tracing.usage import UsageBook

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


def metrics(
    aggregates: Aggregates,
    usage: UsageBook,
    day: str,
    dropped_records: int,
    quality: Sequence[JsonObject] = (),
    budgets: Sequence[JsonObject] = (),
) -> JsonObject:
    """Sums since the start per operation, and of `day` per account. Durations in seconds; bounded like the sums.

    `quality`: per backend, how good its answers look. `budgets`: each with what was spent of it today.
    """
    return {
        "dropped_records": dropped_records,
        "overflowed_records": aggregates.overflowed,
        "operations": list(_operations(aggregates)),
        "accounts": [
            {"model": account.model, "key": account.key} | used.as_json() for account, used in usage.rows(day)
        ],
        "quality": quality,
        "budgets": budgets,
    }


def _operations(aggregates: Aggregates) -> Iterator[JsonObject]:
    for key in aggregates.keys():  # noqa: SIM118  # no mapping
        tally = aggregates.total(key)
        yield {
            "component": key.component,
            "operation": key.operation,
            "backend": key.backend or "",
            "outcomes": {"ok": tally.latency.count, "cancelled": tally.cancelled, **tally.errors},
            "duration": _distribution(tally.latency),
            "ttft": _distribution(tally.ttft),
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "cost_usd": tally.cost_usd,
        }


def _distribution(histogram: Histogram) -> JsonObject:
    """`buckets`: for each of `BOUNDS_S`, how many took at most that long."""
    return {
        "count": histogram.count,
        "sum_s": histogram.sum_ms / 1000,
        "buckets": histogram.counts_up_to([bound_s * 1000 for bound_s in BOUNDS_S]),
    }
