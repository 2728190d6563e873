"""How does a browser show the performance report? One page without scripts, styles from elsewhere, or secrets."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from actors.protocol.messages import JsonObject

REFRESH_S: Final = 10
FIGURES: Final = (
    ("count", "count"),
    ("error_rate_01", "errors"),
    ("mean_ms", "mean ms"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("max_ms", "max ms"),
    ("tokens_per_s", "tokens/s"),
    ("cost_usd", "USD"),
)
STYLE: Final = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#222}table{border-collapse:collapse;margin:0 0 2rem}"
    "th,td{padding:.25rem .75rem;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}h2{font-size:1rem}"
)


def report_page(report: JsonObject) -> bytes:
    """The report as HTML; all that comes from outside is escaped."""
    requests, overhead = report["requests"], report["overhead"]
    windows = [{"name": "since start", **requests}] + [
        {"name": name, **figures} for name, figures in requests.get("windows", {}).items()
    ]
    operations = [{"name": _operation(row), **row} for row in report["operations"]]
    failing = [(_operation(row), f"{row['error_rate_01']:.1%}", _counts(row["errors"])) for row in report["failing"]]
    slowest = [(_operation(row), row["outcome"], _text(row["duration_ms"])) for row in report["slowest_operations"]]
    quality = [
        (row["backend"], str(row["scored"]), _text(row["mean_01"]), _text(row["recent_01"]), str(row["changes"]))
        for row in report.get("quality", ())
    ]
    own = f"Our own time per request: p50 {_text(overhead['p50_ms'])} ms, p99 {_text(overhead['p99_ms'])} ms."
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Troupe: performance</title>"
        f"<meta http-equiv=refresh content={REFRESH_S}><style>{STYLE}</style><h1>Performance</h1>"
        f"<p>Since {escape(report['started_at'])}. Percentiles are of successes, within "
        f"{report['relative_error_01']:.0%}. {own} Records lost on the way: {report['dropped_records']}.</p>"
        f"{_figures('Requests', windows)}{_figures('Backends', report['backends'])}"
        f"{_table('More than 1 % errors', ('', 'errors', 'codes'), failing)}"
        f"{_requests('Slowest requests', report['slowest'])}"
        f"{_requests('Failed lately', report['recent_failures'])}{_requests('Slow lately', report['recent_slow'])}"
        f"{_figures('Operations', operations)}"
        f"{_table('Slowest operations', ('', 'outcome', 'ms'), slowest)}"
        f"{_table('Quality of answers', ('', 'scored', 'mean', 'lately', 'changes'), quality)}"
        "</html>"
    )
    return page.encode()


def _figures(title: str, rows: Iterable[JsonObject]) -> str:
    cells = [(row["name"], *(_text(row.get(key)) for key, _ in FIGURES)) for row in rows]
    return _table(title, ("", *(heading for _, heading in FIGURES)), cells)


def _requests(title: str, rows: Iterable[JsonObject]) -> str:
    cells = [
        (row["request_id"], row["model"], row["backend"] or "", row["outcome"], _text(row["duration_ms"]))
        for row in rows
    ]
    return _table(title, ("request", "model", "backend", "outcome", "ms"), cells)


def _operation(row: JsonObject) -> str:
    return " ".join(filter(None, (row["component"], row["operation"], row["backend"])))


def _counts(by_name: JsonObject) -> str:
    return ", ".join(f"{name}: {count}" for name, count in by_name.items())


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
