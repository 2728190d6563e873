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
