"""Tracer: the actor that sums up what all replicas and actors measured: counts, errors, latencies, tokens, cost."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from actors.edge.vitals import Vitals
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import TracerError, Unauthenticated
from actors.protocol.messages import DecisionRecord, JsonObject, Pulse
from actors.protocol.outlook import Outlook
from actors.resilience.aggregator import ErrorAggregator
from actors.routing.table import Measured
from actors.tracing.aggregates import MAX_KEYS, WINDOWS_S, Key
from actors.tracing.archive import DECISIONS_KEPT, Archive
from actors.tracing.bundle import bundle_of
from actors.tracing.expectations import with_expectations
from actors.tracing.explanation import explanation
from actors.tracing.histogram import Histogram
from actors.tracing.lasting_sums import LastingSums
from actors.tracing.metrics import metrics
from actors.tracing.outlooks import Outlooks
from actors.tracing.quality_book import QualityBook, Scored
from actors.tracing.recorder import Operations
from actors.tracing.report import REQUEST, Background, backend_key, performance_report
from actors.tracing.request_log import RequestLog
from actors.tracing.slowest import Slowest
from actors.tracing.spans import trace_operations
from actors.tracing.sums import SAMPLES, Batch, is_sampled
from actors.tracing.treasury import Treasury
from actors.tracing.usage import UsageBook, day_of

log = logging.getLogger("troupe.tracer")

ORPHAN_CHECK_EVERY_S = 5.0
QUALITY = "quality"
ALERTS = "alerts"
SLOWEST = "slowest"
ERRORS = "errors"
NO_BUDGETS: Mapping[str, float] = {}
RECENT_SHOWN = 20
RECENT_HELD = 200  # of the slow and of the failed ones; all 10,000 took 6 MB, and are in the file
KEYS_PER_BACKEND = 2  # its calls, and the waits for them

# What a backend answers to a request that no backend would take says nothing about that backend.
CALLERS_FAULT = frozenset({"request_refused", "context_length_exceeded", "content_filter"})


class Exporter(Protocol):
    """Sends finished requests on to another system; neither waits nor raises."""

    def note(self, request: DecisionRecord, *, is_sampled: bool) -> None: ...
    def close(self) -> None:
        """Sends what is left; may block for a moment."""
        ...


@trace_operations("tracer")
class Tracer:
    """Receives sums and records of finished requests in batches. No request waits for it, and its memory is bounded.

    In its file, `state`, usage, decision records and the report's sums are complete when a batch is acknowledged; the
    slowest, the errors, the quality of answers and the budgets' alerts are saved every `ORPHAN_CHECK_EVERY_S`.
    """

    def __init__(
        self,
        end_self: Callable[[], None],
        clock: Clock = SYSTEM_CLOCK,
        state: Path | None = None,
        sample_01: float = 1.0,
        budgets_usd: Mapping[str, float] = NO_BUDGETS,
        replicas: int = 1,
        request_log: Path | None = None,
        make_exporter: Callable[[], Exporter] | None = None,
        budget_alerts_01: Sequence[float] = (),
        backends: int = 0,
    ) -> None:
        """`sample_01`: the share of successful requests whose decision records are kept; failures always are.

        `budget_alerts_01`: the shares of a budget whose spending is told in the log. `backends`: how many there are.
        """
        self.vitals = Vitals("tracer", clock)
        self._end_self = end_self
        self._clock = clock
        self._born_s = clock.monotonic_s()
        self._archive = _opened(state, DECISIONS_KEPT * replicas)  # each tells its last ones in an order of its own
        self._sums = LastingSums(self._archive, clock, MAX_KEYS + KEYS_PER_BACKEND * backends)
        self._aggregates = self._sums.aggregates
        self._usage = UsageBook(self._archive.usage())
        self._treasury = Treasury(budgets_usd, replicas, budget_alerts_01, clock)
        if saved := self._archive.saved(ALERTS):
            self._treasury.alerts.restore(saved)
        self._request_log = RequestLog(request_log) if request_log else None
        self._exporter = make_exporter() if make_exporter else None
        self._sampled_below = round(sample_01 * SAMPLES)
        self._outlooks = Outlooks()
        self._quality = QualityBook(MAX_KEYS + backends)
        if saved := self._archive.saved(QUALITY):
            self._quality.restore(saved["backends"])
        self._backends: dict[str, None] = {}
        self._failures: deque[JsonObject] = deque(maxlen=RECENT_HELD)
        self._slow: deque[JsonObject] = deque(maxlen=RECENT_HELD)
        self._hold(self._archive.remarkable())
        self._slow_requests, self._slow_operations = Slowest(), Slowest()
        if saved := self._archive.saved(SLOWEST):
            for told in saved["requests"]:
                self._slow_requests.note(told["request_id"], told)
            for told in saved["operations"]:
                self._slow_operations.note(_operation_of(told), told)
        self._errors = ErrorAggregator(clock)
        if saved := self._archive.saved(ERRORS):
            self._errors.restore(saved)
        self._dropped = 0
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to watch whether anybody looks after this actor."""
        self._life = asyncio.create_task(self._live())

    async def record(self, batch: Batch) -> None:
        """Takes one batch; one that was counted before changes nothing.

        Raises `TracerError` when the file cannot be written.
        """
        if self._archive.has_counted(batch.sender, batch.number):
            return
        remarkable = [request for request in batch.records if _is_remarkable(request, batch.slow_above_ms)]
        self._keep_books(batch, remarkable)
        self._hold(remarkable)
        self._dropped += batch.dropped
        self._write_log(batch.records)
        self._treasury.note_refusals(batch.records, self._usage)
        self._aggregates.merge(batch.tallies)
        for key in batch.tallies:
            # Not one that was summed up under `other`.
            if key.backend is not None and key == backend_key(key.backend) and self._aggregates.total(key).count:
                self._backends[key.backend] = None
        for request in batch.records:
            self._add_request(request)
            if self._exporter is not None:
                self._exporter.note(request, is_sampled=is_sampled(request, self._sampled_below))

    async def note_operations(self, operations: Operations) -> None:
        """Takes what a process of the company did since it last told. Raises `TracerError` as `record` does."""
        sent = (operations.sender, operations.number)
        if self._archive.has_counted(*sent):
            return
        self._archive.commit([], {}, sent, counted=self._sums.written(operations.tallies))
        self._aggregates.merge(operations.tallies)
        for span in operations.slowest:
            told = span.as_json()
            self._slow_operations.note(_operation_of(told), told)

    async def report(self, recent: int = RECENT_SHOWN) -> JsonObject:
        """What `/api/performance-report` shows; with as many of the last 10,000 failed and slow requests as asked."""
        background = Background(
            started_at_s=self._sums.started_at_s,
            uptime_s=self._clock.monotonic_s() - self._born_s,
            dropped_records=self._dropped,
            slowest=self._slow_requests.report(),
            slowest_operations=self._slow_operations.report(),
            recent_failures=self._newest(recent, is_failure=True),
            recent_slow=self._newest(recent, is_failure=False),
            details={"cache": self._usage.savings(), "quality": self._quality.report()},
        )
        return performance_report(self._aggregates, background)

    async def errors(self) -> JsonObject:
        """What `/api/errors` shows: failed requests and calls by component, code and backend, never their text."""
        return self._errors.report()

    async def usage(self, day: str | None = None) -> JsonObject:
        """Requests, tokens and cost in total and by model, key and day; of one day (YYYY-MM-DD, UTC) if given."""
        return self._usage.report(day) | {"budgets": self._treasury.report(self._usage)}

    async def lend(self, holder: str, held_usd: Mapping[str, float]) -> Mapping[str, float]:
        """What a replica may spend of each budget from now on, in place of what it has left of its last slice."""
        return self._treasury.lend(holder, held_usd, self._usage)

    async def explain(self, request_id: str) -> JsonObject | None:
        """How one of the last 10,000 requests was answered, and what else could be expected then; else `None`."""
        found = self._archive.decision(request_id)
        return None if found is None else with_expectations(explanation(found), self._outlook(found.table_version))

    async def note_quality(self, scored: Sequence[Scored]) -> None:
        """Takes how good a sample of answers looked; a backend whose answers have changed is told in the log."""
        for answer in scored:
            change = self._quality.add(answer, self._clock.wall_s())
            if change is not None:
                turn = "worse" if change.after < change.before else "better"
                means = (change.before, change.after)
                log.warning("the answers of '%s' look %s: %.2f before, %.2f now", answer.backend, turn, *means)

    async def note_outlook(self, outlook: Outlook) -> None:
        """Takes what the newest routing table lets one expect, for those who ask later why it was decided so."""
        self._outlooks.note(self._quality.added_to(outlook))

    async def metrics(self) -> JsonObject:
        """Counters and cumulative buckets for a monitoring system."""
        today = day_of(self._clock.wall_s())
        lists = (self._quality.report(), self._treasury.report(self._usage))
        return metrics(self._aggregates, self._usage, today, self._dropped, *lists)

    async def measured(self) -> Mapping[str, Measured]:
        """Per backend that was ever called: errors of the last minute, latencies of the last time it had successes.

        Latencies are those of the shortest window (1 min, 10 min, 1 h) that holds a success. `in_flight` is not known
        here and 0.
        """
        return {backend: self._measured(backend) for backend in self._backends}

    async def pulse(self) -> Pulse:
        """The answer to a probe."""
        return self.vitals.pulse(operations=float(len(self._aggregates)), dropped_records=float(self._dropped))

    async def stop(self) -> None:
        """Ends the watch, and saves the sums."""
        if self._life is not None:
            self._life.cancel()
        self._save()
        self._archive.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)

    async def _live(self) -> None:
        while not self.vitals.orphaned():  # being orphaned is the absence of an event
            await asyncio.sleep(ORPHAN_CHECK_EVERY_S)
            self._save()
        log.warning("the tracer has had no supervisor for a minute and ends itself")
        self._end_self()

    def _keep_books(self, batch: Batch, remarkable: Sequence[DecisionRecord]) -> None:
        """Bills the requests, and writes that down together with their decision records."""
        accounts = {self._usage.merge(account, used) for account, used in batch.accounts.items()}
        outlooks = self._outlooks.unwritten(frozenset().union(*(bundle.table_versions for bundle in batch.bundles)))
        sums = {account: self._usage[account] for account in accounts}
        counted = self._sums.written(batch.tallies)
        kept = [bundle_of(remarkable)] if remarkable else []
        try:
            self._archive.commit(batch.bundles, sums, (batch.sender, batch.number), outlooks, counted, kept)
        except TracerError:
            self._usage = UsageBook(self._archive.usage())  # the batch comes again
            raise
        self._outlooks.written(outlooks)

    def _outlook(self, table_version: int) -> Outlook | None:
        """The latest one up to that version that is known, here or in the file."""
        known = (self._outlooks.at(table_version), self._archive.outlook(table_version))
        return max(filter(None, known), key=lambda outlook: outlook.version, default=None)

    def _write_log(self, requests: Sequence[DecisionRecord]) -> None:
        if self._request_log is None or not requests:
            return
        try:
            self._request_log.write(requests)
        except TracerError as error:
            log.warning("%s", error)

    def _save(self) -> None:
        slowest = {"requests": self._slow_requests.report(), "operations": self._slow_operations.report()}
        others: dict[str, JsonObject] = {
            ALERTS: self._treasury.alerts.saved(),
            QUALITY: {"backends": self._quality.report()},
            SLOWEST: slowest,
            ERRORS: self._errors.saved(),
        }
        try:
            self._sums.save(self._clock.wall_s(), others)
        except TracerError as error:
            log.warning("the sums could not be saved: %s", error)

    def _hold(self, requests: Iterable[DecisionRecord]) -> None:
        for request in requests:
            (self._failures if _has_failed(request) else self._slow).append(_summary(request))

    def _newest(self, count: int, *, is_failure: bool) -> list[JsonObject]:
        """The newest first; from the file where more are asked for than are held."""
        held = self._failures if is_failure else self._slow
        if count <= len(held) or len(held) < RECENT_HELD:
            return list(itertools.islice(reversed(held), count))
        found = (_summary(request) for request in self._archive.remarkable() if _has_failed(request) == is_failure)
        return list(reversed(deque(found, maxlen=count)))

    def _add_request(self, request: DecisionRecord) -> None:
        if _has_failed(request):
            self._errors.note(
                "ensemble", "request", request.outcome, request.backend, request.status, request_id=request.request_id
            )
        for attempt in request.attempts:
            if attempt.outcome not in ("ok", "cancelled"):
                self._errors.note("backend", "call", attempt.outcome, attempt.backend, request_id=request.request_id)
        if self._slow_requests.takes(request.latency_ms):
            self._slow_requests.note(request.request_id, _summary(request))

    def _measured(self, backend: str) -> Measured:
        key = backend_key(backend)
        last_minute = self._aggregates.window(key, WINDOWS_S["1m"])
        judged = last_minute.count - last_minute.cancelled
        failed = sum(count for code, count in last_minute.errors.items() if code not in CALLERS_FAULT)
        latency = self._latest_latency(key)
        return Measured(
            error_rate_01=failed / judged if judged else 0.0,
            p50_ms=latency.quantile(0.50),
            p95_ms=latency.quantile(0.95),
        )

    def _latest_latency(self, key: Key) -> Histogram:
        latency = Histogram()
        for length_s in WINDOWS_S.values():
            latency = self._aggregates.window(key, length_s).latency
            if latency.count:
                break
        return latency


def _opened(state: Path | None, kept: int) -> Archive:
    try:
        return Archive(state, kept)
    except TracerError as error:
        log.error("%s Nothing is kept beyond this process.", error)
        return Archive(kept=kept)


def _summary(request: DecisionRecord) -> JsonObject:
    return {
        "request_id": request.request_id,
        "component": REQUEST.component,
        "operation": REQUEST.operation,
        "model": request.model,
        "backend": request.backend,
        "outcome": request.outcome,
        "duration_ms": round(request.latency_ms, 3),
        "attempts": len(request.attempts),
        "finished_at_s": round(request.finished_at_s, 3),
    }


def _operation_of(told: JsonObject) -> Key:
    return Key(told["component"], told["operation"], told["backend"])


def _has_failed(request: DecisionRecord) -> bool:
    return request.outcome not in ("ok", "cancelled")


def _is_remarkable(request: DecisionRecord, slow_above_ms: float) -> bool:
    """Whether it failed or was slow. Who has no key must not drive out those who have one."""
    if _has_failed(request):
        return request.outcome != Unauthenticated.code
    return request.latency_ms > slow_above_ms
