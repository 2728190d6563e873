"""Does the report say what an operator asks?"""

import json

from actors.protocol.clock import ManualClock
from actors.protocol.messages import Usage
from actors.tracing.aggregates import Aggregates, Key
from actors.tracing.report import OVERHEAD, REQUEST, Background, backend_key, performance_report

BACKGROUND = Background(started_at_s=0.0, uptime_s=12.5, dropped_records=3)


def filled() -> Aggregates:
    aggregates = Aggregates(ManualClock())
    for _ in range(98):
        aggregates.add(backend_key("b"), "ok", 100.0, 20.0, Usage(10, 5), 0.01)
        aggregates.add(backend_key("a"), "ok", 10.0)
    for _ in range(2):
        aggregates.add(backend_key("b"), "timeout", 9000.0)
    aggregates.add(REQUEST, "ok", 100.0)
    aggregates.add(OVERHEAD, "ok", 4.0)
    aggregates.add(Key("router", "choose"), "ok", 0.5)
    return aggregates


def test_backends_are_listed_by_name_with_their_figures() -> None:
    report = performance_report(filled(), BACKGROUND)

    first, second = report["backends"]
    assert (first["name"], second["name"]) == ("a", "b")
    assert (second["count"], second["failed"], second["error_rate_01"], second["errors"]) == (
        100,
        2,
        0.02,
        {"timeout": 2},
    )
    assert (second["p50_ms"], second["p99_ms"], second["min_ms"], second["max_ms"]) == (100.0, 100.0, 100.0, 100.0)
    assert (second["prompt_tokens"], second["completion_tokens"], second["cost_usd"]) == (980, 490, 0.98)
    assert second["ttft"]["p50_ms"] == 20.0
    assert second["windows"]["1m"]["count"] == 100


def test_operations_are_sorted_and_the_failing_ones_named() -> None:
    report = performance_report(filled(), BACKGROUND)

    names = [(entry["component"], entry["operation"], entry["backend"]) for entry in report["operations"]]
    assert names == sorted(names, key=lambda name: (name[0], name[1], name[2] or ""))
    assert ("router", "choose", None) in names
    assert [entry["backend"] for entry in report["failing"]] == ["b"]


def test_our_own_time_stands_beside_that_of_the_upstreams() -> None:
    overhead = performance_report(filled(), BACKGROUND)["overhead"]

    assert (overhead["mean_ms"], overhead["upstream_mean_ms"], overhead["share_01"]) == (4.0, 96.0, 0.04)


def test_a_report_of_nothing_is_a_report() -> None:
    report = performance_report(Aggregates(ManualClock()), BACKGROUND)

    assert (report["backends"], report["operations"], report["dropped_records"]) == ([], [], 3)
    assert report["started_at"] == "1970-01-01T00:00:00+00:00"
    assert report["requests"]["p95_ms"] is None
    assert json.loads(json.dumps(report)) == report


def test_tokens_per_second_are_those_of_whole_answers_whose_tokens_are_known() -> None:
    sums = Aggregates(ManualClock())
    sums.add(REQUEST, "ok", 2_000.0, usage=Usage(10, 100))
    sums.add(REQUEST, "cancelled", 500.0, usage=Usage(10, 900))
    sums.add(REQUEST, "ok", 1.0)  # out of the cache

    assert performance_report(sums, BACKGROUND)["requests"]["tokens_per_s"] == 50.0
