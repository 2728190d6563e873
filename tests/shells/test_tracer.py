"""Does the tracer actor sum up what it is sent, within bounds?"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.ensembling.quality import Quality
from actors.protocol.clock import ManualClock
from actors.protocol.messages import Attempt, DecisionRecord, Usage
from actors.protocol.outlook import Outlook, Prospect
from actors.routing.table import Measured
from actors.tracer import RECENT_HELD, Tracer
from actors.tracing.recorder import PerformanceTracer
from actors.tracing.records import SpanRecord
from actors.tracing.slowest import SLOWEST_KEPT
from tests.support.batches import batch_of


def attempt(backend: str, outcome: str = "ok", latency_ms: float = 100.0) -> Attempt:
    return Attempt(backend, outcome, latency_ms, 10.0, Usage(10, 5), 0.25)


def request(request_id: str, *attempts: Attempt, outcome: str = "ok", latency_ms: float = 100.0) -> DecisionRecord:
    return DecisionRecord(
        request_id, 0.0, "team", "failover", "a", outcome, 200, latency_ms, 2.0, False, attempts=attempts
    )


def never_ends() -> None:
    raise AssertionError("the actor ended itself")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def tracer(clock: ManualClock) -> AsyncIterator[Tracer]:
    tracer = Tracer(never_ends, clock)
    await tracer.start()
    yield tracer
    await tracer.stop()


async def test_requests_and_their_attempts_are_summed_up(tracer: Tracer) -> None:
    await tracer.record(batch_of([request("r1", attempt("a", "timeout"), attempt("b"))]))

    report = await tracer.report()

    assert [(entry["name"], entry["count"], entry["failed"]) for entry in report["backends"]] == [
        ("a", 1, 1),
        ("b", 1, 0),
    ]
    assert (report["requests"]["count"], report["requests"]["p50_ms"], report["overhead"]["mean_ms"]) == (1, 100.0, 2.0)
    assert report["backends"][1]["cost_usd"] == 0.25
    assert json.loads(json.dumps(report)) == report


async def test_spans_are_summed_up_as_operations(tracer: Tracer) -> None:
    recorder = PerformanceTracer()
    recorder.record(SpanRecord("router", "choose", "ok", 0.5, 0.0, 1))
    operations = recorder.collect()
    assert operations is not None
    await tracer.note_operations(operations)

    (operation,) = (await tracer.report())["operations"]

    assert (operation["component"], operation["operation"], operation["count"]) == ("router", "choose", 1)


async def test_what_senders_lost_is_reported(tracer: Tracer) -> None:
    await tracer.record(batch_of(dropped=3))
    await tracer.record(batch_of(dropped=4))

    assert (await tracer.report())["dropped_records"] == 7
    assert (await tracer.pulse()).gauges["dropped_records"] == 7


async def test_the_slowest_and_the_failed_are_named_newest_or_slowest_first(tracer: Tracer) -> None:
    for number in range(30):
        await tracer.record(batch_of([request(f"r{number}", latency_ms=float(number))]))
    gone = request("gone", outcome="cancelled", latency_ms=1.0)
    await tracer.record(batch_of([request("bad", outcome="timeout"), gone]))

    report = await tracer.report()

    assert [entry["request_id"] for entry in report["slowest"]] == ["bad", *(f"r{n}" for n in range(29, 20, -1))]
    assert len(report["slowest"]) == SLOWEST_KEPT
    assert [entry["request_id"] for entry in report["recent_failures"]] == ["bad"]


async def test_backends_are_measured_for_the_router(tracer: Tracer) -> None:
    await tracer.record(batch_of([request(f"r{ms}", attempt("a", latency_ms=float(ms))) for ms in range(1, 100)]))
    await tracer.record(batch_of([request("r100", attempt("a", "timeout", 9000.0))]))

    measured = (await tracer.measured())["a"]

    assert measured.error_rate_01 == pytest.approx(0.01)
    assert measured.p50_ms == pytest.approx(50.0, rel=0.02)
    assert measured.p95_ms == pytest.approx(94.0, rel=0.02)


async def test_errors_are_soon_forgotten_and_latencies_later(tracer: Tracer, clock: ManualClock) -> None:
    await tracer.record(batch_of([request("r", attempt("a", "timeout"), attempt("a"))]))
    assert (await tracer.measured())["a"].error_rate_01 == 0.5

    clock.advance(120.0)
    assert (await tracer.measured())["a"] == Measured(0, 0.0, 100.0, 100.0)
    clock.advance(4000.0)
    assert (await tracer.measured())["a"] == Measured()


async def test_a_request_that_no_backend_would_take_is_not_held_against_it(tracer: Tracer) -> None:
    await tracer.record(batch_of([request("r", attempt("a", "context_length_exceeded"), attempt("a", "cancelled"))]))

    assert (await tracer.measured())["a"].error_rate_01 == 0.0


async def test_memory_is_bounded_whatever_names_come(tracer: Tracer) -> None:
    await tracer.record(batch_of([request(f"r{number}", attempt(f"b{number}")) for number in range(1000)]))

    report = await tracer.report()

    assert report["overflowed_records"] > 700
    assert len(report["backends"]) == len(await tracer.measured()) < 300


async def test_a_thousand_backends_are_told_apart_where_there_are_so_many(clock: ManualClock) -> None:
    tracer = Tracer(never_ends, clock, backends=1_000)

    await tracer.record(batch_of([request(f"r{number}", attempt(f"b{number}")) for number in range(1_000)]))

    assert len(await tracer.measured()) == 1_000
    await tracer.stop()


async def test_without_a_supervisor_it_ends_itself(clock: ManualClock) -> None:
    ended = asyncio.Event()
    tracer = Tracer(ended.set, clock)
    clock.advance(61.0)

    await tracer.start()

    await ended.wait()
    await tracer.stop()


async def test_nothing_is_lost_or_counted_twice_over_a_kill_in_the_middle(clock: ManualClock, tmp_path: Path) -> None:
    path, paid = tmp_path / "traces.db", replace(request("r1", attempt("a")), cost_usd=0.25, key_name="ann")
    killed, unacknowledged = Tracer(never_ends, clock, path), batch_of([paid])
    await killed.record(unacknowledged)

    tracer = Tracer(never_ends, clock, path)
    await tracer.record(unacknowledged)
    await tracer.record(batch_of([replace(paid, request_id="r2")]))

    assert (await tracer.usage())["keys"][0]["cost_usd"] == 0.5
    assert (await tracer.usage())["total"]["requests"] == 2
    explained = await tracer.explain("r1")
    assert explained is not None
    assert explained["key"] == "ann"
    await tracer.stop()
    await killed.stop()


async def test_the_report_of_a_tracer_that_was_killed_is_that_of_the_next(clock: ManualClock, tmp_path: Path) -> None:
    first = Tracer(never_ends, clock, tmp_path / "traces.db")
    await first.record(batch_of([request("r1", attempt("a"))]))
    recorder = PerformanceTracer()
    recorder.record(SpanRecord("router", "choose", "ok", 0.5, 0.0, 1))
    operations = recorder.collect()
    assert operations is not None
    await first.note_operations(operations)
    before = await first.report()

    second = Tracer(never_ends, clock, tmp_path / "traces.db")
    after = await second.report()
    await second.note_operations(operations)  # as its sender did not hear of its arrival

    for key in ("requests", "backends", "operations", "overhead", "started_at"):
        assert after[key] == before[key]
    assert (await second.report())["operations"] == before["operations"]
    await first.stop()
    await second.stop()


async def test_the_slowest_and_the_errors_outlive_the_tracer(clock: ManualClock, tmp_path: Path) -> None:
    first = Tracer(never_ends, clock, tmp_path / "traces.db")
    await first.record(batch_of([request("r1", attempt("a", "timeout"), latency_ms=900.0)]))
    await first.stop()

    second = Tracer(never_ends, clock, tmp_path / "traces.db")

    assert [one["request_id"] for one in (await second.report())["slowest"]] == ["r1"]
    assert [(one["code"], one["count"]) for one in (await second.errors())["errors"]] == [("timeout", 1)]
    await second.stop()


async def test_a_slow_operation_hides_no_slow_request(tracer: Tracer) -> None:
    recorder = PerformanceTracer()
    for number in range(30):
        recorder.record(SpanRecord("supervisor", "look", "ok", 900.0 + number, 0.0, number, metadata={"probed": 7}))
    operations = recorder.collect()
    assert operations is not None
    await tracer.note_operations(operations)
    await tracer.record(batch_of([request("r1", latency_ms=5.0)]))

    report = await tracer.report()

    assert [one["request_id"] for one in report["slowest"]] == ["r1"]
    assert [(one["operation"], one["duration_ms"], one["metadata"]) for one in report["slowest_operations"]] == [
        ("look", 929.0, {"probed": 7})
    ]


async def test_each_request_is_logged_once(clock: ManualClock, tmp_path: Path) -> None:
    tracer = Tracer(never_ends, clock, request_log=tmp_path / "requests.jsonl")

    twice = batch_of([request("r1"), request("r2")])
    await tracer.record(twice)
    await tracer.record(twice)

    assert len((tmp_path / "requests.jsonl").read_text().splitlines()) == 2
    await tracer.stop()


async def test_an_unusable_file_does_not_keep_the_tracer_from_its_work(clock: ManualClock, tmp_path: Path) -> None:
    (tmp_path / "traces.db").mkdir()
    tracer = Tracer(never_ends, clock, tmp_path / "traces.db")

    await tracer.record(batch_of([request("r1")]))

    assert (await tracer.usage())["total"]["requests"] == 1
    await tracer.stop()


async def test_what_was_expected_when_it_was_decided_outlives_the_tracer(clock: ManualClock, tmp_path: Path) -> None:
    path, first, later = tmp_path / "traces.db", Prospect("closed", 1.0, 0.0, (1.0, 1.0)), Prospect("closed", 9.0, 0.5)
    tracer = Tracer(never_ends, clock, path)
    await tracer.note_outlook(Outlook(3, {"a": first}, {"team": ["a"]}))
    await tracer.record(batch_of([replace(request("r1", attempt("a")), table_version=4)]))
    await tracer.note_outlook(Outlook(5, {"a": later}, {"team": ["a"]}))
    await tracer.stop()

    tracer = Tracer(never_ends, clock, path)
    explained = await tracer.explain("r1")
    await tracer.stop()

    assert explained is not None
    assert (explained["outlook_version"], explained["candidates"][0]["weight"]) == (3, 1.0)
    assert explained["candidates"][0]["expected"]["cost_usd"] == 15e-6  # 10 tokens in and 5 out, at a millionth each


async def test_a_backend_whose_answers_get_worse_is_told(tracer: Tracer, caplog: pytest.LogCaptureFixture) -> None:
    await tracer.note_quality([Quality("a", 1.0, (), 20)] * 100)
    await tracer.note_quality([Quality("a", 0.2, ("refused",), 20)] * 20)

    (told,) = (await tracer.report())["quality"]

    assert (told["backend"], told["scored"], told["flaws"], told["changes"]) == ("a", 120, {"refused": 20}, 1)
    assert "the answers of 'a' look worse: 1.00 before, 0.20 now" in caplog.text
    assert (await tracer.metrics())["quality"] == [told]


async def test_a_budget_that_runs_out_is_told_in_log_and_metrics(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer(never_ends, clock, budgets_usd={"key:ann": 1.0}, budget_alerts_01=[0.8, 1.0])
    paid = replace(request("r1", attempt("a")), cost_usd=0.85, key_name="ann", finished_at_s=clock.wall_s())
    await tracer.record(batch_of([paid]))

    await tracer.lend("one", {})
    await tracer.lend("one", {})

    assert [record.message for record in caplog.records] == [
        "the budget 'key:ann' has reached 80 %: 0.85 of 1 USD are spent today"
    ]
    (told,) = (await tracer.metrics())["budgets"]
    assert (told["spent_usd"], told["used_01"], told["alert_01"], told["refused"]) == (0.85, 0.85, 0.8, 0)
    await tracer.stop()


async def test_a_budget_that_is_too_small_for_a_request_is_not_called_spent(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer(never_ends, clock, budgets_usd={"key:ann": 1.0}, budget_alerts_01=[0.8, 1.0])
    refused = replace(request("r1", outcome="insufficient_quota"), key_name="ann", finished_at_s=clock.wall_s())
    await tracer.record(batch_of([refused]))

    await tracer.lend("one", {})

    assert [record.message for record in caplog.records] == [
        "the budget 'key:ann' no longer covers every request: 0 of 1 USD are spent today"
    ]
    await tracer.stop()


async def test_the_report_tells_what_caches_have_saved(tracer: Tracer) -> None:
    hit = replace(request("r2"), strategy="cache", cost_usd=0.0, saved_usd=0.25)
    await tracer.record(batch_of([request("r1", attempt("a")), hit]))

    assert (await tracer.report())["cache"] == {"hits": 1, "share_01": 0.5, "saved_usd": 0.25}


async def test_failed_and_slow_requests_are_found_long_after_the_others(clock: ManualClock, tmp_path: Path) -> None:
    tracer = Tracer(never_ends, clock, tmp_path / "traces.db")
    odd = [request("bad", outcome="timeout"), request("slow", latency_ms=900.0), request("usual"), request("left")]
    odd[-1].outcome = "cancelled"
    await tracer.record(replace(batch_of(odd), slow_above_ms=500.0))
    for start in range(0, 10_100, 100):
        await tracer.record(batch_of([request(f"r{start + number}") for number in range(100)]))
    await tracer.stop()

    tracer = Tracer(never_ends, clock, tmp_path / "traces.db")
    report = await tracer.report()

    assert [one["request_id"] for one in report["recent_failures"]] == ["bad"]
    assert [one["request_id"] for one in report["recent_slow"]] == ["slow"]
    assert [await tracer.explain(name) is not None for name in ("bad", "slow", "usual", "left")] == [
        True,
        True,
        False,
        False,
    ]
    await tracer.stop()


async def test_as_many_failures_are_told_as_are_asked_for_newest_first(tracer: Tracer) -> None:
    for number in range(30):
        await tracer.record(batch_of([request(f"r{number}", outcome="timeout")]))

    told = [[one["request_id"] for one in (await tracer.report(count))["recent_failures"]] for count in (2, 0, 10_000)]

    assert told[:2] == [["r29", "r28"], []]
    assert len(told[2]) == 30


async def test_more_failures_than_are_held_are_told_from_the_file(tracer: Tracer) -> None:
    names = [f"r{number}" for number in range(RECENT_HELD + 50)]
    for name in names:
        await tracer.record(batch_of([request(name, outcome="timeout")]))

    told = [
        [one["request_id"] for one in (await tracer.report(count))["recent_failures"]] for count in (3, 210, 10_000)
    ]

    assert told == [names[:-4:-1], names[:-211:-1], names[::-1]]


async def test_who_has_no_key_drives_out_nobody(tracer: Tracer) -> None:
    await tracer.record(batch_of([request("bad", outcome="timeout"), request("stranger", outcome="invalid_api_key")]))

    report = await tracer.report()

    assert [one["request_id"] for one in report["recent_failures"]] == ["bad"]
    assert report["requests"]["failed"] == 2
