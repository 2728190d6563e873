"""Ensemble: the deployment that carries requests: many replicas, each deciding alone on the newest routing table."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from typing import Protocol

from actors.edge.answer_cache import AnswerCache
from actors.edge.gateway import ChatRequest, Reply, StreamedReply
from actors.edge.ledger import Ledger
from actors.edge.observatory import Observatory
from actors.edge.purse import Purse
from actors.edge.quality_watch import QualityWatch
from actors.edge.vitals import Vitals
from actors.edge.wire import chat_request
from actors.lease_keeper import LeaseKeeper
from actors.orchestrating.breakers import Breakers
from actors.orchestrator import Orchestrator
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.columns import Written
from actors.protocol.errors import LLMError, Overloaded, SupervisorError
from actors.protocol.messages import ActorStatus, CompanyStatus, DecisionRecord, Feedback, JsonObject, Outcome, Pulse
from actors.protocol.patterns import Trial
from actors.protocol.ratings import Verdict
from actors.protocol.streams import Closeable, HandedOn
from actors.routing.table import BackendRecord, RoutingTable
from actors.tracing.spans import trace_operations
from actors.tracing.sums import Batch

log = logging.getLogger("troupe.ensemble")

POLL_WAIT_S = 10.0
RETRY_AFTER_S = 0.5
ANNOUNCE_EVERY_S = 1.0
STATUS_PATIENCE_S = 0.5
ROOT_MISSED_AFTER = 8  # failed announcements in a row until the root is created again


class Links(Protocol):
    """The control plane, as a replica reaches it. None of it is awaited on a completion."""

    @property
    def address(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    async def raise_root(self) -> None: ...
    async def newer_table(self, known_version: int, wait_s: float) -> RoutingTable | None: ...
    async def announce(self, pulse: Pulse, timeout_s: float) -> CompanyStatus: ...
    async def record_decisions(self, records: Written) -> None: ...
    async def trace(self, batch: Batch) -> None: ...
    async def feedback(self, feedback: Feedback) -> JsonObject: ...
    async def optimizer_report(self) -> JsonObject: ...
    async def export_learning(self) -> JsonObject: ...
    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> int: ...
    async def reset_learning(self) -> None: ...
    async def errors(self) -> JsonObject: ...
    async def performance_report(self, recent: int) -> JsonObject: ...
    async def usage(self, day: str | None) -> JsonObject: ...
    async def lend(self, holder: str, held_usd: Mapping[str, float]) -> Mapping[str, float]: ...
    async def explain(self, request_id: str) -> JsonObject | None: ...
    async def metrics(self) -> JsonObject: ...


# Each request to `complete` and `open_stream` has a record of its own, which is counted as `gateway request`.
@trace_operations("ensemble", without=("complete", "open_stream", "check_health"))
class Ensemble:
    """One replica: a `Gateway` for the HTTP app, and the same by handle for scripts."""

    def __init__(
        self,
        name: str,
        table: RoutingTable,
        links: Links,
        orchestrator: Orchestrator,
        ledger: Ledger,
        leases: LeaseKeeper,
        breakers: Breakers | None = None,
        max_in_flight: int = 2048,
        clock: Clock = SYSTEM_CLOCK,
        cache: AnswerCache | None = None,
        purse: Purse | None = None,
        watch: QualityWatch | None = None,
    ) -> None:
        self._cache = cache
        self._watch = watch
        self._purse = purse
        self.vitals = Vitals(name, clock)
        self._published = table
        self._table = table
        self._breakers = breakers or Breakers(name)
        self._breakers.on_change = self._apply_breakers
        self._links = links
        self._orchestrator = orchestrator
        self._ledger = ledger
        self._leases = leases
        self.observatory = Observatory(links, ledger.flush_measurements, self.status)
        self._clock = clock
        self._created_s = int(clock.wall_s())
        self._company = CompanyStatus()
        self._table_is_published = False
        self._has_been_ready = False
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._changed = asyncio.Event()
        self._raising: asyncio.Task[None] | None = None
        self._life: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to create the company's root, unless it exists, and to follow the routing table. Returns at once."""
        self._breakers.later = asyncio.get_running_loop().call_later
        self._raising = asyncio.create_task(self._raise_root())
        self._life = [
            asyncio.create_task(self._follow_table(), name="that follows the routing table"),
            asyncio.create_task(self._announce(), name="that announces it"),
            asyncio.create_task(self._ledger.flush_forever(), name="that reports requests"),
            asyncio.create_task(self._leases.keep_forever(), name="that renews its leases"),
        ]
        if self._watch is not None:
            self._life.append(asyncio.create_task(self._watch.look_forever(), name="that looks at answers"))
        if self._purse is not None:
            renew = partial(self._links.lend, self.vitals.name)
            renewing = self._purse.renew_forever(renew, self._ledger.flush_measurements)
            self._life.append(asyncio.create_task(renewing, name="that renews its budgets"))

    async def stop(self) -> None:
        """Sends what is still unreported."""
        for task in self._life:
            task.cancel()
        if self._raising is not None:
            self._raising.cancel()
        await self._orchestrator.stop()
        await self._ledger.flush_decisions()
        await self._ledger.flush_measurements()

    # ---- requests ----

    async def complete(self, request: ChatRequest) -> Reply:
        """The whole answer to a chat request."""
        self._in_flight += 1
        try:
            if self._cache is not None:
                return await self._cache.complete(request, self._play)
            if self._purse is not None:
                self._purse.reserve(request, self._table)
            return await self._orchestrator.complete(request, self._table)
        finally:
            self._in_flight -= 1
            if self._purse is not None:
                self._purse.release(request.request_id)

    async def open_stream(self, request: ChatRequest) -> StreamedReply:
        """The answer to a chat request as a stream of events."""
        self._in_flight += 1  # handed over to the events, once there are some
        try:
            if self._cache is not None:
                opened = await self._cache.open_stream(request, self._open)
            else:
                if self._purse is not None:
                    self._purse.reserve(request, self._table)
                opened = await self._orchestrator.open_stream(request, self._table)
        except BaseException:
            self._in_flight -= 1
            if self._purse is not None:
                self._purse.release(request.request_id)
            raise
        return StreamedReply(
            opened.headers, HandedOn(opened.events, partial(self._end_stream, opened.events, request.request_id))
        )

    async def _play(self, request: ChatRequest) -> Reply:
        """For the cache, which asks for it only where it has no answer: what was kept costs nothing."""
        if self._purse is not None:
            self._purse.reserve(request, self._table)
        return await self._orchestrator.complete(request, self._table)

    async def _open(self, request: ChatRequest) -> StreamedReply:
        if self._purse is not None:
            self._purse.reserve(request, self._table)
        return await self._orchestrator.open_stream(request, self._table)

    async def _end_stream(self, events: Closeable[bytes], request_id: str) -> None:
        self._in_flight -= 1
        await events.aclose()
        if self._purse is not None:
            self._purse.release(request_id)

    # ---- by handle ----

    async def ask(self, body: JsonObject) -> JsonObject:
        """The reply to an OpenAI chat completion body; for handles. Raises errors of the `LLMError` tree."""
        self._refuse_when_draining()
        reply = await self.complete(chat_request({**body, "stream": False}, self._clock))
        return reply.body

    async def ask_stream(self, body: JsonObject) -> AsyncIterator[bytes]:
        """The events (JSON) of the reply to an OpenAI chat completion body; for handles."""
        self._refuse_when_draining()
        reply = await self.open_stream(chat_request({**body, "stream": True}, self._clock))
        async with aclosing(reply.events) as events:
            async for event in events:
                if event:
                    yield event

    async def orchestrate(self, body: JsonObject) -> Sequence[Outcome]:
        """Asks every backend behind `model` in parallel: one `Answer` or `Failure` each, in the members' order."""
        self._refuse_when_draining()
        return await self._orchestrator.orchestrate(chat_request(body, self._clock), self._table)

    # ---- what else the HTTP app asks for ----

    def turned_away(self, refusal: DecisionRecord) -> None:
        """Puts a request that was refused at the door on the books of the tracer; there is nothing to learn from it."""
        self._ledger.note(refusal)

    def models(self) -> list[JsonObject]:
        """Every name that callers may use, as OpenAI model objects."""
        return [self._model_object(name) for name in self._table.names()]

    def _model_object(self, name: str) -> JsonObject:
        target = self._table.resolve(name)
        told: JsonObject = {"id": name, "object": "model", "created": self._created_s, "owned_by": "troupe"}
        if isinstance(target, BackendRecord):
            detail: JsonObject = {"kind": "backend", "provider": target.provider, "model": target.model}
        else:
            detail = {"kind": "model", "strategy": target.strategy, "members": list(target.members)}
        return told | {"troupe": detail}

    async def record_feedback(self, feedback: Feedback) -> JsonObject:
        """Hands feedback to the optimizer; returns once it is durable there."""
        await self._ledger.flush_decisions()  # the request that it speaks of may be a moment old
        return await self._links.feedback(self._orchestrator.judged(feedback))

    async def status(self) -> JsonObject:
        """Who is there and in which state; from the last known news where the supervisor is silent."""
        try:
            self._company = await self._links.announce(self._pulse(), STATUS_PATIENCE_S)
        except LLMError:
            self._company = replace(self._company, actors=[_supervisor_missing(one) for one in self._company.actors])
        return {
            "address": self._links.address,
            "namespace": self._links.namespace,
            "version": self._table.version,
            "actors": [asdict(status) for status in self._company.actors],
            "decisions": [asdict(ruling) for ruling in self._company.rulings],
            "backends": [self._backend_status(backend) for backend in self._table.backends.values()],
        }

    def _backend_status(self, backend: BackendRecord) -> JsonObject:
        measured = backend.measured
        return {
            "name": backend.name,
            "provider": backend.provider,
            "breaker": backend.breaker,
            "in_flight": self._orchestrator.in_flight(backend.name),
            "error_rate_01": measured.error_rate_01,
            "p50_ms": measured.p50_ms,
            "p95_ms": measured.p95_ms,
        }

    async def optimizer_report(self) -> JsonObject:
        """What was learned so far."""
        return await self._links.optimizer_report()

    async def export_learning(self) -> JsonObject:
        """The judgements in force, as `import_learning` takes them."""
        return await self._links.export_learning()

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> JsonObject:
        """Takes over what was exported."""
        return {"imported": await self._links.import_learning(learned)}

    async def reset_learning(self) -> JsonObject:
        """Forgets all that was learned."""
        await self._ledger.flush_decisions()  # what happened before shall not be learned from after it
        await self._links.reset_learning()
        return {"reset": True}

    async def errors(self) -> JsonObject:
        """What failed lately, and how often: by component, code and backend."""
        await self._ledger.flush_measurements()
        return await self._links.errors()

    def not_ready_because(self) -> str | None:
        """Why no request should be sent here; `None` when ready.

        Once ready, a replica stays so until it stops: while a part of the company restarts, the rest can answer.
        """
        if self._table.draining:
            return "stopping"
        if not self._has_been_ready:
            reason = self._incomplete_because()
            self._has_been_ready = reason is None
            return reason
        return None

    def _incomplete_because(self) -> str | None:
        if not self._table_is_published:
            return "waiting for the routing table"
        backends = {status.name: status.state for status in self._company.actors if status.kind == "backend"}
        if not backends:
            return "waiting for the supervisor"
        undecided = [name for name, state in backends.items() if state == "starting"]
        if undecided:
            return f"waiting for {', '.join(undecided)}"
        unleased = [b.name for b in self._table.backends.values() if not b.hosted and b.lease is None]
        missing = [name for name in unleased if backends.get(f"backend:{name}") == "alive"]
        return f"waiting for the leases of {', '.join(missing)}" if missing else None

    def refuses_because(self) -> LLMError | None:
        """The error for new requests while the gateway is full or stops; `None` when they are welcome."""
        if self._in_flight >= self._max_in_flight:
            message = f"The gateway is full ({self._in_flight} requests are running); try again later."
            return Overloaded(message, retry_after_s=1.0)
        if self._table.draining:
            return Overloaded("The gateway is stopping; try again in a moment.", retry_after_s=1.0)
        return None

    def _refuse_when_draining(self) -> None:
        if refusal := self.refuses_because():
            raise refusal

    # ---- following the company ----

    async def check_health(self) -> None:
        """Raises when this replica no longer follows the company; Ray Serve then replaces it."""
        for task in self._life:
            if task.done():
                raise SupervisorError(f"The replica's loop {task.get_name()} has ended.")

    async def _follow_table(self) -> None:
        """Keeps the newest routing table; with the router away, the last one stays in use."""
        known = 0
        while True:
            try:
                table = await self._links.newer_table(known, POLL_WAIT_S)
            except LLMError as error:
                log.debug("no news from the router: %s", error)
                await asyncio.sleep(RETRY_AFTER_S)
                continue
            if table is None:
                continue
            known = table.version
            if table.edition == self._table.edition:  # another edition's belongs to a deployment before or after ours
                self._published = table.with_leases_of(self._table)
                self._table = self._breakers.applied(self._published)
                self._table_is_published = True
                self._changed.set()

    def _apply_breakers(self) -> None:
        """Plays from now on by what this replica has just learned of its backends, and lets the others know."""
        self._table = self._breakers.applied(self._published)
        self._changed.set()

    async def _announce(self) -> None:
        """Tells the supervisor that this replica lives, and remembers what it says of the others."""
        missed = 0
        while True:
            try:
                self._company = await self._links.announce(self._pulse(), ANNOUNCE_EVERY_S)
                missed = 0
            except LLMError as error:
                log.debug("no answer from the supervisor: %s", error)
                missed += 1
            if missed and missed % ROOT_MISSED_AFTER == 0:
                log.warning("the supervisor has been away for %d rounds; it is created unless it exists", missed)
                await self._raise_root()
            self._changed.clear()
            try:
                async with asyncio.timeout(ANNOUNCE_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _raise_root(self) -> None:
        try:
            await self._links.raise_root()
        except LLMError as error:  # tried again
            log.warning("the supervisor could not be created: %s", error)

    def _pulse(self) -> Pulse:
        pulse = self.vitals.pulse(in_flight=float(self._in_flight), draining=float(self._table.draining))
        restarts = {status.name: status.restarts for status in self._company.actors if status.restarts}
        return replace(pulse, shut=sorted(self._breakers.shut), restarts=restarts)


def _supervisor_missing(status: ActorStatus) -> ActorStatus:
    if status.kind != "supervisor":
        return status
    return ActorStatus(status.name, status.kind, "restarting", None, status.node, status.restarts, None, "no answer")
