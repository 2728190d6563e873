"""How does a person read what the gateway tells?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.protocol.messages import JsonObject

WATCH_EVERY_S = 1.0
RULINGS_SHOWN = 10
STATE_STYLES = {"alive": "green", "starting": "yellow", "restarting": "yellow", "degraded": "yellow", "dead": "red"}
BREAKER_STYLES = {"closed": "green", "half_open": "yellow", "open": "red"}


def status_tables(status: JsonObject) -> list[Table]:
    """The members of the company, the backends, and the supervisor's last decisions if there were any."""
    actors = _table("The company", "name", "kind", "state", "pid", "restarts", "errors", "up", "detail")
    for actor in status["actors"]:
        actors.add_row(
            actor["name"],
            actor["kind"],
            Text(actor["state"], STATE_STYLES.get(actor["state"], "")),
            _text(actor["pid"]),
            _text(actor["restarts"]),
            _text(actor.get("errors")),
            _seconds(actor["uptime_s"]),
            _text(actor.get("detail")),
        )
    backends = _table("Backends", "name", "provider", "breaker", "in flight", "errors", "p50", "p95")
    for backend in status["backends"]:
        backends.add_row(
            backend["name"],
            backend["provider"],
            Text(backend["breaker"], BREAKER_STYLES.get(backend["breaker"], "")),
            _text(backend["in_flight"]),
            _share(backend["error_rate_01"]),
            _ms(backend["p50_ms"]),
            _ms(backend["p95_ms"]),
        )
    decisions = _table("What the supervisor decided", "at (UTC)", "about", "decision", "reason")
    for ruling in status.get("decisions", [])[:RULINGS_SHOWN]:
        at = datetime.fromtimestamp(ruling["at_s"], UTC)
        decisions.add_row(f"{at:%m-%d %H:%M:%S}", ruling["about"], ruling["decision"], ruling["reason"])
    return [actors, backends, decisions] if decisions.row_count else [actors, backends]


def report_tables(report: JsonObject) -> list[Table]:
    """What is slow and what fails: requests by window, backends, operations; the worst of each by name."""
    columns = ("calls", "errors", "mean", "p50", "p95", "p99", "max")
    own = report["overhead"]
    title = f"Requests (our own part: p50 {_ms(own['p50_ms'])}, p99 {_ms(own['p99_ms'])})"
    requests = _table(title, "", "calls", "errors", "p50", "p95", "p99", "first token", "tokens/s", "USD")
    for name, row in (("in all", report["requests"]), *report["requests"]["windows"].items()):
        times = (_ms(row[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))
        more = (_ms(row["ttft"]["p50_ms"]), _text(row["tokens_per_s"]), f"{row['cost_usd']:.4g}")
        requests.add_row(name, _text(row["count"]), _share(row["error_rate_01"]), *times, *more)
    backends = _table("Backends", "name", *columns)
    for row in report["backends"]:
        backends.add_row(row["name"], *_figures(row))
    failing = _table("More than 1 % errors", "operation", "errors", "codes")
    for row in report["failing"]:
        failing.add_row(_operation(row), _share(row["error_rate_01"]), _counts(row["errors"]))
    slowest = _requests("Slowest requests", report["slowest"])
    failed, slow = (
        _requests(f"{what} lately", report[f"recent_{key}"]) for what, key in (("Failed", "failures"), ("Slow", "slow"))
    )
    operations = _table("Operations", "operation", "calls", "errors", "p50", "p95", "max")
    for row in report["operations"]:
        times = (_ms(row[key]) for key in ("p50_ms", "p95_ms", "max_ms"))
        operations.add_row(_operation(row), _text(row["count"]), _share(row["error_rate_01"]), *times)
    longest = _table("Slowest operations", "operation", "outcome", "time")
    for row in report["slowest_operations"]:
        longest.add_row(_operation(row), row["outcome"], _ms(row["duration_ms"]))
    quality = _table("Quality of answers (a sample)", "backend", "scored", "mean", "lately", "flaws", "changes")
    for row in report["quality"]:
        means = (f"{row['mean_01']:.2f}", f"{row['recent_01']:.2f}")
        quality.add_row(row["backend"], _text(row["scored"]), *means, _counts(row["flaws"]), _text(row["changes"]))
    whenever_there_are_some = (failing, failed, slow, slowest, operations, longest, quality)
    return [requests, backends, *(table for table in whenever_there_are_some if table.row_count)]


def errors_table(errors: JsonObject) -> Table:
    """What failed, most frequent first."""
    table = _table("Errors", "component", "code", "backend", "since start", "1 min", "10 min", "1 h")
    for row in errors["errors"]:
        counts = (_text(row["windows"][name]) for name in ("1m", "10m", "1h"))
        table.add_row(row["component"], row["code"], _text(row["backend"]), _text(row["count"]), *counts)
    return table


def optimizer_tables(told: JsonObject) -> list[Table]:
    """Ratings by type of task and what patterns gain, with 95 % intervals, the mean squared errors of predictions by
    question and of ratings, what changed (UTC), and the outcomes of each way to answer."""
    ratings = _table("Ratings", "task", "backend", "quality", "from", "to", "judgements")
    for task, backends in told["learned"]["ratings"].items():
        for backend, one in backends.items():
            bounds = (f"{one[key]:.3f}" for key in ("quality_01", "low_01", "high_01"))
            ratings.add_row(task, backend, *bounds, f"{one['judgements']:.0f}")
    patterns = _table("Patterns", "task", "backend", "pattern", "gain", "from", "to", "trials", "safe")
    for backend, tasks in told["learned"]["patterns"].items():
        for task, gains in tasks.items():
            for name, gain in gains.items():
                bounds = (f"{gain[key]:+.3f}" for key in ("gain", "low", "high"))
                patterns.add_row(task, backend, name, *bounds, f"{gain['trials']:.0f}", "yes" if gain["safe"] else "no")
    predictions = _table("Predictions", "judgements", "checked on", "error", "of ratings", "in use")
    if (found := told["learned"]["predictions"]) is not None:
        counts = (str(found[key]) for key in ("judgements", "checked_on"))
        errors = (f"{found[key]:.4f}" for key in ("error", "rating_error"))
        but = f", but not on {', '.join(found['not_on'])}" if found["not_on"] else ""
        predictions.add_row(*counts, *errors, f"yes{but}" if found["in_use"] else "no")
    arms = _table("Outcomes", "task", "backend", "strategy", "pattern", "count", "ok", "right", "wrong")
    for arm in told["outcomes"]["arms"]:
        keys = ("task_type", "backend", "strategy", "pattern", "count", "ok", "correct", "incorrect")
        arms.add_row(*(_text(arm[key]) for key in keys))
    changes = _table("Changes", "when", "backend", "mean before", "since then", "noticed after")
    for change in told["changes"]:
        when = datetime.fromtimestamp(change["at_s"], UTC).strftime("%Y-%m-%d %H:%M")
        means = (f"{change[key]:.3f}" for key in ("before_01", "after_01"))
        changes.add_row(when, change["backend"], *means, f"{change['judgements']} judgements")
    return [ratings, *(table for table in (patterns, predictions, changes) if table.row_count), arms]


def usage_tables(usage: JsonObject) -> list[Table]:
    """Requests, tokens and cost by model, key and day."""
    tables = []
    for name in ("model", "key", "day"):
        table = _table(f"By {name}", name, "requests", "failed", "cached", "tokens in", "out", "USD", "saved")
        for row in usage[f"{name}s"]:
            told = ("requests", "failed", "cached", "prompt_tokens", "completion_tokens")
            usd = (f"{row['cost_usd']:.4g}", f"{row['saved_usd']:.4g}")
            table.add_row(row[name] or "(none)", *(f"{row[key]:,}" for key in told), *usd)
        tables.append(table)
    if usage["budgets"]:
        budgets = _table("Budgets today", "budget", "USD a day", "spent", "used", "refused")
        for row in usage["budgets"]:
            usd = (f"{row['usd_per_day']:.4g}", f"{row['spent_usd']:.4g}")
            budgets.add_row(row["budget"], *usd, _share(row["used_01"]), _text(row["refused"]))
        tables.append(budgets)
    return tables


def explanation_tables(told: JsonObject) -> list[Table]:
    """What became of a request, each upstream call, and each vote."""
    whole = _table(told["request_id"], "what", "value")
    for key in (
        "model",
        "strategy",
        "backend",
        "outcome",
        "status",
        "latency_ms",
        "overhead_ms",
        "ttft_ms",
        "cost_usd",
    ):
        whole.add_row(key, _text(told[key]))
    for key, value in told["optimizer"].items():
        whole.add_row(key, _text(value))
    attempts = _table("Attempts", "backend", "outcome", "begun after", "time", "first token", "USD")
    for attempt in told["attempts"]:
        times = (_ms(attempt.get("started_ms")), _ms(attempt["latency_ms"]), _ms(attempt["ttft_ms"]))
        attempts.add_row(attempt["backend"], attempt["outcome"], *times, _text(attempt["cost_usd"]))
    for left_out in told["excluded"]:
        attempts.add_row(left_out["backend"], f"not asked: {left_out['reason']}")
    tables = [whole, attempts]
    if ensemble := told["ensemble"]:
        title = f"{ensemble['merge']}, confidence {_share(ensemble['confidence_01'])}"
        votes = _table(title, "model", "answer", "share of votes", "confidence")
        for vote in ensemble["votes"]:
            votes.add_row(vote["backend"], _text(vote["answer"]), _share(vote["weight"]), _share(vote["confidence_01"]))
        tables.append(votes)
    if told["candidates"]:
        tables += _expectation_tables(told)
    return tables


def _expectation_tables(told: JsonObject) -> list[Table]:
    """Who might have answered, and what else could have been done; by what was known then."""
    expected = ("quality", "USD", "p50")
    candidates = _table("Candidates", "name", "asked", "breaker", "weight", "trust", *expected, "errors")
    for one in told["candidates"]:
        figures = (*_expected(one["expected"]), _share(one["expected"]["error_rate_01"]))
        marks = ("yes" if one["asked"] else "no", Text(one["breaker"], BREAKER_STYLES.get(one["breaker"], "")))
        candidates.add_row(one["backend"], *marks, _text(one["weight"]), _text(one["trust"]), *figures)
    roads = _table("Roads not taken", "ask", *expected)
    for road in told["roads_not_taken"]:
        roads.add_row(" and ".join(road["ask"]), *_expected(road["expected"]))
    return [candidates, roads] if told["roads_not_taken"] else [candidates]


def _expected(told: JsonObject) -> Sequence[str]:
    cost_usd = told["cost_usd"]
    quality_01 = "–" if told["quality_01"] is None else f"{told['quality_01']:.2f}"
    return quality_01, "–" if cost_usd is None else f"{cost_usd:.4g}", _ms(told["p50_ms"])


def watched(tables: Callable[[], Sequence[Table]], console: Console) -> None:
    """Shows the tables anew every second; returns never."""
    pause = Event()
    with Live(Group(*tables()), console=console, screen=True) as live:
        while not pause.wait(WATCH_EVERY_S):
            live.update(Group(*tables()))


def answer_facts(troupe: JsonObject) -> str:
    """One line on how an answer came about."""
    facts = [f"{troupe['backend']} by {troupe['strategy']}"]
    ensemble = troupe.get("ensemble")
    if ensemble:
        facts.append(f"{ensemble['answered']} of {ensemble['asked']} answered")
        facts.append(f"confidence {_share(ensemble['confidence_01'])}")
        if ensemble["degraded"]:
            facts.append("degraded: " + "; ".join(ensemble["reasons"]))
    facts.append(troupe["request_id"])
    return " · ".join(facts)


def ensemble_table(question: str, reply: JsonObject) -> Table:
    """Each member's answer with its time and confidence, and the merged answer below them."""
    troupe = reply["troupe"]
    ensemble = troupe["ensemble"]
    latency_ms = {attempt["backend"]: attempt["latency_ms"] for attempt in troupe["attempts"]}
    table = _table(question, "model", "answer", "time", "confidence", "share of votes")
    for vote in ensemble["votes"]:
        table.add_row(
            vote["backend"],
            _text(vote["answer"]),
            _ms(latency_ms.get(vote["backend"])),
            _share(vote["confidence_01"]),
            _share(vote["weight"]),
        )
    for failure in ensemble["failures"]:
        table.add_row(failure["backend"], Text(failure["message"], "red"), _ms(latency_ms.get(failure["backend"])))
    table.add_section()
    text = reply["choices"][0]["message"]["content"]
    merged = (f"{ensemble['merge']}", text, _ms(max(latency_ms.values(), default=None)))
    table.add_row(*merged, _share(ensemble["confidence_01"]), _share(ensemble["support_01"]), style="bold")
    return table


def catalogue_table(rows: Iterable["CatalogueLine"]) -> Table:
    """The local models that can be fetched, and which are here."""
    table = _table("Local models (fetch one with: troupe models pull NAME)", "name", "size", "here", "licence", "what")
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for row in rows:
        size = f"{row.size_bytes / 1e6:,.0f} MB"
        table.add_row(row.name, size, "yes" if row.installed else "no", row.licence, row.description)
    return table


class CatalogueLine(Protocol):
    """One entry of the model catalogue."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def licence(self) -> str: ...
    @property
    def installed(self) -> bool: ...


def _requests(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    table = _table(title, "request", "model", "backend", "outcome", "time")
    for row in rows:
        told = (row["request_id"], row["model"], _text(row["backend"]), row["outcome"])
        table.add_row(*told, _ms(row["duration_ms"]))
    return table


def _operation(row: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (row["component"], row["operation"], row["backend"])))


def _counts(by_name: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in by_name.items())


def _figures(row: Mapping[str, Any]) -> Sequence[str]:
    return [
        _text(row["count"]),
        _share(row["error_rate_01"]),
        *(_ms(row[f"{name}_ms"]) for name in ("mean", "p50", "p95", "p99", "max")),
    ]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"
