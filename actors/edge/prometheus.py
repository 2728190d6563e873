"""How does Prometheus read what the gateway counted?"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from actors.protocol.messages import JsonObject
from actors.tracing.metrics import BOUNDS_S

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
OPERATION: Final = ("component", "operation", "backend")
ACCOUNT: Final = ("model", "key")
BREAKERS: Final = ("closed", "half_open", "open")


def exposition(told: JsonObject | None, status: JsonObject) -> bytes:
    """The metrics as text, from what the tracer told (`None`: it did not answer) and the replica's own status."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(told, status))
    return bytes(generate_latest(registry))


class _Told(Collector):
    def __init__(self, told: JsonObject | None, status: JsonObject) -> None:
        self._told = told
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("troupe_tracer_up", "Whether the tracer answered.", value=float(self._told is not None))
        yield from _company(self._status)
        if self._told is not None:
            yield from _operations(self._told["operations"])
            yield from _accounts(self._told["accounts"])
            yield from _quality(self._told["quality"])
            yield from _budgets(self._told["budgets"])
            dropped = "Records that senders lost before the tracer heard them."
            yield CounterMetricFamily("troupe_dropped_records", dropped, value=self._told["dropped_records"])
            overflowed = "Records that were summed up as 'other', beyond the bound of operations."
            yield CounterMetricFamily("troupe_overflowed_records", overflowed, value=self._told["overflowed_records"])


def _operations(operations: Iterable[JsonObject]) -> Iterator[Metric]:
    calls = CounterMetricFamily("troupe_operations", "Finished operations.", labels=(*OPERATION, "outcome"))
    tokens = CounterMetricFamily("troupe_tokens", "Tokens that were consumed.", labels=(*OPERATION, "kind"))
    cost = CounterMetricFamily("troupe_cost_usd", "US dollars that were spent.", labels=OPERATION)
    duration = HistogramMetricFamily(
        "troupe_operation_duration_seconds", "Of successes; each bound within 2 %.", labels=OPERATION
    )
    ttft = HistogramMetricFamily(
        "troupe_time_to_first_token_seconds", "Of successes; each bound within 2 %.", labels=OPERATION
    )
    for one in operations:
        labels = [one[name] for name in OPERATION]
        for outcome, count in one["outcomes"].items():
            calls.add_metric([*labels, outcome], count)
        for family, told in ((duration, one["duration"]), (ttft, one["ttft"])):
            if told["count"]:
                family.add_metric(labels, _buckets(told), told["sum_s"])
        if one["prompt_tokens"] or one["completion_tokens"]:
            tokens.add_metric([*labels, "prompt"], one["prompt_tokens"])
            tokens.add_metric([*labels, "completion"], one["completion_tokens"])
        if one["cost_usd"]:
            cost.add_metric(labels, one["cost_usd"])
    yield from (calls, duration, ttft, tokens, cost)


def _accounts(accounts: Iterable[JsonObject]) -> Iterator[Metric]:
    requests = GaugeMetricFamily("troupe_usage_today_requests", "Requests of this day (UTC).", labels=ACCOUNT)
    cost = GaugeMetricFamily("troupe_usage_today_cost_usd", "US dollars of this day (UTC).", labels=ACCOUNT)
    hits = GaugeMetricFamily("troupe_usage_today_cached", "Requests answered from the cache.", labels=ACCOUNT)
    saved = GaugeMetricFamily("troupe_usage_today_saved_usd", "US dollars that those had cost.", labels=ACCOUNT)
    for one in accounts:
        labels = [one[name] for name in ACCOUNT]
        hits.add_metric(labels, one["cached"])
        saved.add_metric(labels, one["saved_usd"])
        requests.add_metric(labels, one["requests"])
        cost.add_metric(labels, one["cost_usd"])
    yield from (requests, cost, hits, saved)


def _quality(backends: Iterable[JsonObject]) -> Iterator[Metric]:
    recent = GaugeMetricFamily("troupe_answer_quality", "Mean score of the last answers, 0 to 1.", labels=("backend",))
    scored = CounterMetricFamily("troupe_answers_scored", "Answers that were looked at.", labels=("backend",))
    changes = CounterMetricFamily("troupe_answer_quality_changes", "Times the mean score moved.", labels=("backend",))
    flaws = CounterMetricFamily("troupe_answer_flaws", "What those answers lacked.", labels=("backend", "flaw"))
    for one in backends:
        recent.add_metric([one["backend"]], one["recent_01"])
        scored.add_metric([one["backend"]], one["scored"])
        changes.add_metric([one["backend"]], one["changes"])
        for flaw, count in one["flaws"].items():
            flaws.add_metric([one["backend"], flaw], count)
    yield from (recent, scored, changes, flaws)


def _budgets(budgets: Iterable[JsonObject]) -> Iterator[Metric]:
    whole = GaugeMetricFamily("troupe_budget_usd_per_day", "US dollars that may be spent today.", labels=("budget",))
    spent = GaugeMetricFamily("troupe_budget_spent_usd", "US dollars that were spent of them.", labels=("budget",))
    alert = GaugeMetricFamily("troupe_budget_alert_ratio", "Highest threshold passed today.", labels=("budget",))
    refused = GaugeMetricFamily("troupe_budget_refused_requests", "Refused for it today.", labels=("budget",))
    for one in budgets:
        names = ("usd_per_day", "spent_usd", "alert_01", "refused")
        for family, name in zip((whole, spent, alert, refused), names, strict=True):
            family.add_metric([one["budget"]], one[name])
    yield from (whole, spent, alert, refused)


def _company(status: JsonObject) -> Iterator[Metric]:
    up = GaugeMetricFamily("troupe_actor_up", "Whether the actor is alive.", labels=("name", "kind"))
    for actor in status["actors"]:
        if actor["kind"] != "ensemble":  # replicas come and go under ever new names
            up.add_metric([actor["name"], actor["kind"]], float(actor["state"] == "alive"))
    breaker = GaugeMetricFamily("troupe_breaker", "1 for the state it is in.", labels=("backend", "state"))
    for backend in status["backends"]:
        for state in BREAKERS:
            breaker.add_metric([backend["name"], state], float(backend["breaker"] == state))
    yield from (up, breaker)


def _buckets(told: JsonObject) -> list[tuple[str, float]]:
    bounds = [(str(bound_s), float(count)) for bound_s, count in zip(BOUNDS_S, told["buckets"], strict=True)]
    return [*bounds, ("+Inf", float(told["count"]))]
