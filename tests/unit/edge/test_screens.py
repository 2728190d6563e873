"""Can a person read what the gateway tells, on a terminal of the usual width?"""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from actors.edge.screens import explanation_tables, optimizer_tables, report_tables, usage_tables
from actors.protocol.clock import ManualClock
from actors.protocol.messages import JsonObject, Usage
from actors.tracing.aggregates import Aggregates
from actors.tracing.report import REQUEST, Background, backend_key, performance_report
from tests.support.api_page import examples

USED: JsonObject = {
    "requests": 123_456,
    "failed": 12,
    "cached": 4,
    "prompt_tokens": 12_345,
    "completion_tokens": 6_789,
    "cost_usd": 12.345678,
    "saved_usd": 0.000052,
}


def shown(tables: Sequence[Table]) -> str:
    screen = io.StringIO()
    Console(file=screen, width=80).print(*tables, sep="\n")
    return screen.getvalue()


def eventful_report() -> JsonObject:
    sums = Aggregates(ManualClock())
    sums.add(REQUEST, "ok", 100.0, 20.0, Usage(10, 5), 0.25)
    sums.add(backend_key("a"), "timeout", 80.0)
    slow = {"request_id": "req_slow", "model": "team", "backend": "a", "outcome": "ok", "duration_ms": 100.0}
    long = {"component": "supervisor", "operation": "look", "backend": None, "outcome": "ok", "duration_ms": 900.0}
    seen = {"backend": "a", "scored": 9, "mean_01": 0.9, "recent_01": 0.75, "changes": 1, "flaws": {"refused": 2}}
    background = Background(0.0, 1.0, slowest=[slow], slowest_operations=[long], details={"quality": [seen]})
    return performance_report(sums, background)


def documented(path: str) -> JsonObject:
    return next(example.reply for example in examples() if example.path == path)


def test_an_explanation_shows_the_candidates_and_the_roads_not_taken() -> None:
    text = shown(explanation_tables(documented("/explain/REQUEST_ID")))

    for words in ("Attempts", "begun after", "Candidates", "closed", "Roads not taken", "3.1 ms", "confidence 81.0 %"):
        assert words in text


def test_an_explanation_of_which_nothing_was_expected_shows_the_rest() -> None:
    told = documented("/explain/REQUEST_ID") | {"candidates": [], "roads_not_taken": []}

    assert "Candidates" not in shown(explanation_tables(told))


def test_usage_fits_with_budgets_and_savings() -> None:
    budget = {"budget": "key:ann", "usd_per_day": 1.0, "spent_usd": 0.85, "used_01": 0.85, "refused": 3}
    told = {"models": [{"model": "company"} | USED], "keys": [], "days": [], "budgets": [budget]}

    text = shown(usage_tables(told))

    assert "123,456" in text
    assert "12.35" in text
    assert "5.2e-05" in text
    assert "85.0 %" in text


def test_the_report_shows_windows_and_the_worst_by_name() -> None:
    text = shown(report_tables(eventful_report()))

    for words in ("in all", "10m", "0.25", "More than 1 %", "timeout: 1", "req_slow", "look", "refused: 2"):
        assert words in text


def test_a_report_of_nothing_shows_that_there_was_nothing() -> None:
    report = performance_report(Aggregates(ManualClock()), Background(0.0, 0.0, details={"quality": []}))

    text = shown(report_tables(report))

    assert "Requests" in text
    assert "Slowest" not in text


def test_a_change_is_shown_with_its_time_and_both_means() -> None:
    change = {"backend": "large", "at_s": 86_400.0, "before_01": 0.9, "after_01": 0.25, "judgements": 15}

    learned: JsonObject = {"ratings": {}, "patterns": {}, "predictions": None}
    _, changes, _ = optimizer_tables({"learned": learned, "outcomes": {"arms": []}, "changes": [change]})

    (row,) = zip(*[column.cells for column in changes.columns], strict=True)
    assert row == ("1970-01-02 00:00", "large", "0.900", "0.250", "15 judgements")


def test_ratings_are_shown_with_their_interval() -> None:
    rating = {"quality_01": 0.75, "low_01": 0.5, "high_01": 0.9, "judgements": 12.4}
    learned = {"ratings": {"math": {"large": rating}}, "patterns": {}, "predictions": None}
    told = {"learned": learned, "outcomes": {"arms": []}, "changes": []}

    ratings, _ = optimizer_tables(told)

    assert [list(column.cells) for column in ratings.columns] == [
        ["math"],
        ["large"],
        ["0.750"],
        ["0.500"],
        ["0.900"],
        ["12"],
    ]


def test_what_patterns_gain_is_shown_with_whether_they_are_safe() -> None:
    gain = {"gain": 0.25, "low": -0.01, "high": 0.5, "trials": 31.6, "safe": True}
    learned = {"ratings": {}, "patterns": {"small": {"math": {"step_by_step": gain}}}, "predictions": None}

    _, patterns, _ = optimizer_tables({"learned": learned, "outcomes": {"arms": []}, "changes": []})

    (row,) = zip(*[column.cells for column in patterns.columns], strict=True)
    assert row == ("math", "small", "step_by_step", "+0.250", "-0.010", "+0.500", "32", "yes")


def test_predictions_are_shown_beside_ratings() -> None:
    found = {"judgements": 600, "checked_on": 480, "error": 0.1234, "rating_error": 0.2, "in_use": False}
    learned: JsonObject = {"ratings": {}, "patterns": {}, "predictions": found | {"not_on": []}}

    _, predictions, _ = optimizer_tables({"learned": learned, "outcomes": {"arms": []}, "changes": []})

    (row,) = zip(*[column.cells for column in predictions.columns], strict=True)
    assert row == ("600", "480", "0.1234", "0.2000", "no")


def test_types_of_task_that_are_left_to_ratings_are_named() -> None:
    found = {"judgements": 600, "checked_on": 480, "error": 0.12, "rating_error": 0.2, "in_use": True}
    learned: JsonObject = {"ratings": {}, "patterns": {}, "predictions": found | {"not_on": ["chat", "math"]}}

    _, predictions, _ = optimizer_tables({"learned": learned, "outcomes": {"arms": []}, "changes": []})

    assert list(predictions.columns[-1].cells) == ["yes, but not on chat, math"]
