"""Can Prometheus read the metrics, and stay small whatever comes?"""

from prometheus_client.parser import text_string_to_metric_families

from actors.edge.prometheus import exposition
from actors.protocol.clock import ManualClock
from actors.protocol.messages import JsonObject, Usage
from actors.tracing.aggregates import Aggregates, Key
from actors.tracing.metrics import metrics
from actors.tracing.usage import UsageBook

STATUS: JsonObject = {
    "actors": [{"name": "router", "kind": "router", "state": "alive"}],
    "backends": [{"name": "a", "breaker": "open"}],
}


def samples(text: bytes) -> dict[tuple[str, frozenset[str]], float]:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_buckets_tokens_and_cost_are_told_per_operation() -> None:
    sums = Aggregates(ManualClock())
    call = Key("backend", "call", "a")
    sums.add(call, "ok", 40.0, usage=Usage(10, 5), cost_usd=0.5)
    sums.add(call, "ok", 400.0)
    sums.add(call, "timeout", 900.0)

    told = samples(exposition(metrics(sums, UsageBook(), "2026-11-23", 3), STATUS))

    assert told["troupe_operations_total", frozenset(("backend", "call", "a", "ok"))] == 2
    assert told["troupe_operations_total", frozenset(("backend", "call", "a", "timeout"))] == 1
    assert told["troupe_operation_duration_seconds_bucket", frozenset(("backend", "call", "a", "0.05"))] == 1
    assert told["troupe_operation_duration_seconds_bucket", frozenset(("backend", "call", "a", "0.5"))] == 2
    assert told["troupe_operation_duration_seconds_sum", frozenset(("backend", "call", "a"))] == 0.44
    assert told["troupe_tokens_total", frozenset(("backend", "call", "a", "completion"))] == 5
    assert told["troupe_cost_usd_total", frozenset(("backend", "call", "a"))] == 0.5
    assert told["troupe_dropped_records_total", frozenset()] == 3
    assert told["troupe_actor_up", frozenset(("router",))] == 1
    assert told["troupe_breaker", frozenset(("a", "open"))] == 1


def test_ten_thousand_names_stay_few_series() -> None:
    sums = Aggregates(ManualClock())
    for number in range(10_000):
        sums.add(Key("backend", "call", f"model-{number}"), f"error-{number}", 1.0)

    told = samples(exposition(metrics(sums, UsageBook(), "2026-11-23", 0), STATUS))

    assert len([name for name, _ in told if name == "troupe_operations_total"]) == 256 * 3 + (
        2 + 65
    )  # ok, cancelled, errors
    assert len(told) < 1_000


def test_the_quality_of_answers_is_told_per_backend() -> None:
    looked_at = {"backend": "a", "scored": 9, "recent_01": 0.75, "changes": 1, "flaws": {"refused": 2}}

    told = samples(exposition(metrics(Aggregates(ManualClock()), UsageBook(), "2026-11-23", 0, [looked_at]), STATUS))

    assert told["troupe_answer_quality", frozenset(("a",))] == 0.75
    assert told["troupe_answers_scored_total", frozenset(("a",))] == 9
    assert told["troupe_answer_quality_changes_total", frozenset(("a",))] == 1
    assert told["troupe_answer_flaws_total", frozenset(("a", "refused"))] == 2


def test_budgets_are_told_with_what_was_spent_and_whether_that_is_much() -> None:
    budget = {"budget": "key:ann", "usd_per_day": 10.0, "spent_usd": 8.5, "alert_01": 0.8, "refused": 3}

    told = samples(exposition(metrics(Aggregates(ManualClock()), UsageBook(), "2026-11-23", 0, (), [budget]), STATUS))

    assert told["troupe_budget_usd_per_day", frozenset(("key:ann",))] == 10.0
    assert told["troupe_budget_spent_usd", frozenset(("key:ann",))] == 8.5
    assert told["troupe_budget_alert_ratio", frozenset(("key:ann",))] == 0.8
    assert told["troupe_budget_refused_requests", frozenset(("key:ann",))] == 3
