import json
import logging
import sys
from types import TracebackType
from typing import Any

from actors.edge.log_lines import JsonLines
from actors.tracing.spans import trace_block

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def line_of(message: str, *arguments: object, error: ExcInfo | None = None, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("troupe.tracer", logging.WARNING, __file__, 1, message, arguments, error)
    record.created = 1_795_392_000.25
    record.__dict__.update(extra)
    line = JsonLines("tracer").format(record)
    assert "\n" not in line
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_message_is_one_line_that_says_when_where_and_how_bad() -> None:
    assert line_of("the budget '%s' has reached %.0f %%", "key:ann", 80.0) == {
        "at": "2026-11-23T00:00:00.250+00:00",
        "level": "warning",
        "logger": "troupe.tracer",
        "process": "tracer",
        "message": "the budget 'key:ann' has reached 80 %",
    }


def test_a_message_about_a_request_has_its_id() -> None:
    assert line_of("it failed", request_id="req_1")["request_id"] == "req_1"


def test_so_has_a_message_out_of_work_for_a_request() -> None:
    with trace_block("backend", "call", request_id="req_1"):
        assert line_of("it failed")["request_id"] == "req_1"


def test_an_error_is_told_with_its_traceback_in_the_same_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        told = line_of("it failed", error=sys.exc_info())

    assert "ValueError: two\nlines" in told["error"]
