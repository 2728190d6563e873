from dataclasses import replace

import pytest

from actors.protocol.messages import Attempt, DecisionRecord, JsonObject, Usage
from actors.protocol.outlook import Outlook, Prospect
from actors.protocol.trust import Trust
from actors.tracing.expectations import with_expectations
from actors.tracing.explanation import explanation

OUTLOOK = Outlook(
    7,
    {
        "dear": Prospect("closed", 2.0, 0.1, (10.0, 20.0), 300.0, 900.0, 0.75),
        "cheap": Prospect("closed", 1.0, 0.0, (1.0, 2.0), 100.0, 200.0),
        "unpriced": Prospect("closed", 1.0, 0.0),
    },
    {"team": ["dear", "cheap"], "all": ["dear", "cheap", "unpriced"]},
    {"team": {"unknown": Trust({"dear": 1.5}, 0.2, 30)}},
)
RECORD = DecisionRecord(
    "r1", 0.0, "team", "failover", "cheap", "ok", 200, 500.0, 2.0, False,
    attempts=(
        Attempt("dear", "timeout", 400.0),
        Attempt("cheap", "ok", 98.0, usage=Usage(1_000, 100)),
    ),
    table_version=9,
)  # fmt: skip


def told(record: DecisionRecord = RECORD, outlook: Outlook | None = OUTLOOK) -> JsonObject:
    return with_expectations(explanation(record), outlook)


def test_each_candidate_has_what_the_table_let_one_expect_of_it() -> None:
    dear, cheap = told()["candidates"]

    # 1,000 tokens in at 10 USD and 100 out at 20 USD a million; a tenth of that for the cheap one.
    figures = {"quality_01": 0.75, "cost_usd": 0.012, "p50_ms": 300.0, "p95_ms": 900.0}
    assert dear["expected"] == figures | {"error_rate_01": 0.1}
    assert cheap["expected"]["cost_usd"] == pytest.approx(0.0012)
    assert [(one["backend"], one["asked"], one["weight"], one["trust"]) for one in (dear, cheap)] == [
        ("dear", True, 2.0, 1.5),
        ("cheap", True, 1.0, None),
    ]
    assert told()["outlook_version"] == 7


def test_the_roads_not_taken_are_each_alone_and_all_together() -> None:
    alone = replace(RECORD, attempts=RECORD.attempts[1:])

    roads = {tuple(road["ask"]): road["expected"] for road in told(alone)["roads_not_taken"]}

    assert roads == {
        ("dear",): {"quality_01": 0.75, "cost_usd": 0.012, "p50_ms": 300.0, "p95_ms": 900.0},
        ("dear", "cheap"): {"quality_01": None, "cost_usd": pytest.approx(0.0132), "p50_ms": 300.0, "p95_ms": 900.0},
    }


def test_what_one_of_several_costs_is_unknown_if_it_is_of_any() -> None:
    together = told(replace(RECORD, model="all"))["roads_not_taken"][-1]

    assert together == {
        "ask": ["dear", "cheap", "unpriced"],
        "expected": {"quality_01": None, "cost_usd": None, "p50_ms": None, "p95_ms": None},
    }


def test_no_road_leads_to_who_could_not_be_asked() -> None:
    record = replace(RECORD, model="all", unclosed=(("dear", "open"),), excluded=(("unpriced", "no vision"),))

    explained = told(replace(record, attempts=()))

    assert [road["ask"] for road in explained["roads_not_taken"]] == [["cheap"]]
    assert [(one["breaker"], one["excluded"]) for one in explained["candidates"]] == [
        ("open", None),
        ("closed", None),
        ("closed", "no vision"),
    ]


def test_who_calls_a_backend_by_its_name_had_no_other_road() -> None:
    explained = told(replace(RECORD, model="cheap", attempts=RECORD.attempts[1:]))

    assert [one["backend"] for one in explained["candidates"]] == ["cheap"]
    assert explained["roads_not_taken"] == []


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    uncounted = told(replace(RECORD, attempts=RECORD.attempts[:1]))

    assert uncounted["candidates"][0]["expected"]["cost_usd"] is None
    assert (told(outlook=None)["candidates"], told(outlook=None)["outlook_version"]) == ([], None)
