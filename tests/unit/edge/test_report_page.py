from actors.edge.report_page import report_page
from actors.protocol.clock import ManualClock
from actors.tracing.aggregates import Aggregates
from actors.tracing.report import REQUEST, Background, backend_key, performance_report


def test_a_browser_sees_the_figures_and_no_markup_from_outside() -> None:
    sums = Aggregates(ManualClock())
    sums.add(REQUEST, "ok", 100.0)
    sums.add(backend_key("<b>evil</b>"), "ok", 80.0)

    page = report_page(performance_report(sums, Background(0.0, 1.0))).decode()

    assert "<td>100</td>" in page
    assert "&lt;b&gt;evil" in page
    assert "<b>evil" not in page


def test_the_worst_are_named() -> None:
    sums = Aggregates(ManualClock())
    sums.add(backend_key("a"), "timeout", 80.0)
    slow = {"request_id": "req_slow", "model": "team", "backend": "a", "outcome": "ok", "duration_ms": 100.0}
    failed = {**slow, "request_id": "req_failed", "outcome": "timeout"}
    long = {"component": "supervisor", "operation": "look", "backend": None, "outcome": "ok", "duration_ms": 900.0}

    late = {**slow, "request_id": "req_late"}
    page = report_page(performance_report(sums, Background(0.0, 1.0, 0, [slow], [long], [failed], [late]))).decode()

    for words in ("req_slow", "req_failed", "req_late", "supervisor look", "timeout: 1"):
        assert words in page
