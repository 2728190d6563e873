"""Orchestrator: what one request becomes: which members are asked, in which order, and how their answers become one.

It runs in every replica, on the newest routing table, and awaits nothing but the models themselves.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import orjson

from actors.edge import replies
from actors.edge.gateway import ChatRequest, Reply, StreamedReply
from actors.edge.wishes import target_of
from actors.protocol.clock import SYSTEM_CLOCK, Clock, Deadline
from actors.protocol.errors import LLMError
from actors.protocol.messages import (
    Answer,
    Attempt,
    Call,
    Chunk,
    DecisionRecord,
    EnsembleReport,
    Failure,
    Outcome,
    Usage,
)
from actors.protocol.ports import ModelPort
from actors.resilience.retry import AttemptBudget
from actors.routing.strategies import LocalView, order
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

KEEP_ALIVE_S = 5.0
FIRST_SIGN_AFTER_S = 1.0  # an ensemble that fails within this is answered with a status, later with an error event


@dataclass(slots=True)
class Scene:
    """One request under way: what it may spend, and what it has done so far.

    `waited_s` is the time in which the request did nothing but wait for models; the rest is our own overhead.
    """

    request: ChatRequest
    table: RoutingTable
    target: ModelRecord | BackendRecord
    deadline: Deadline
    budget: AttemptBudget
    attempts: list[Attempt] = field(default_factory=list)
    waited_s: float = 0.0
    ttft_ms: float | None = None
    report: EnsembleReport | None = None

    @property
    def spent_usd(self) -> float:
        return sum(attempt.cost_usd or 0.0 for attempt in self.attempts)


@dataclass(slots=True)
class Opened:
    """A stream whose first chunk is there, and the backend that gives it."""

    backend: str
    chunks: AsyncGenerator[Chunk, None]


@dataclass(slots=True)
class Cast:
    """Who can be asked, as one replica reaches them: a port per backend, and its calls under way."""

    port_for: Callable[[BackendRecord], ModelPort]
    view: LocalView
    in_flight: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.view.in_flight = self.in_flight

    @contextmanager
    def counted(self, backend: str) -> Iterator[None]:
        self.in_flight[backend] = self.in_flight.get(backend, 0) + 1
        try:
            yield
        finally:
            self.in_flight[backend] -= 1


class Orchestrator:
    """Plays requests on a cast of models. `on_finished` gets one record per request, whatever became of it."""

    def __init__(self, cast: Cast, on_finished: Callable[[DecisionRecord], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._cast = cast
        self._on_finished = on_finished
        self._clock = clock

    def in_flight(self, backend: str) -> int:
        """How many of this replica's calls to the backend are under way."""
        return self._cast.in_flight.get(backend, 0)

    async def complete(self, request: ChatRequest, table: RoutingTable) -> Reply:
        """The whole answer. Raises errors of the `LLMError` tree."""
        scene = self._scene(request, table)
        with self._ending_recorded(scene):
            outcome = await self._play(scene.target, scene)
            if isinstance(outcome, Failure):
                raise outcome.as_error()
        record = self._finish(scene, outcome.backend)
        body = outcome.completion.body if scene.report is None else replies.merged_body(outcome, record)
        return Reply(
            {**body, "troupe": replies.troupe_object(record)},
            replies.headers(record.backend, record.attempts, record.overhead_ms, record.cost_usd),
        )

    async def open_stream(self, request: ChatRequest, table: RoutingTable) -> StreamedReply:
        """The answer as events. What fails before the first one is raised here or by the first step of `events`."""
        scene = self._scene(request, table)
        if isinstance(scene.target, ModelRecord) and scene.target.is_ensemble:
            return StreamedReply(replies.headers(None, (), self._overhead_ms(scene), None), self._merged_events(scene))
        with self._ending_recorded(scene):
            opened = await self._open(scene.target, scene)
            if isinstance(opened, Failure):
                raise opened.as_error()
        scene.first_byte_overhead_ms = self._overhead_ms(scene)
        told = replies.headers(opened.backend, scene.attempts_so_far, scene.first_byte_overhead_ms, None)
        return StreamedReply(told, self._live_events(scene, opened))

    async def orchestrate(self, request: ChatRequest, table: RoutingTable) -> Sequence[Outcome]:
        """Asks every backend behind the model in parallel: one outcome each, in the members' order."""
        scene = self._scene(request, table)
        with self._ending_recorded(scene):
            leaves = [table.backends[leaf] for leaf in table.leaves(request.model)]
            outcomes = await asyncio.gather(*(self._ask(leaf, scene) for leaf in leaves))
        self._finish(scene, None)
        return outcomes

    # ---- the plan of one request ----

    def _scene(self, request: ChatRequest, table: RoutingTable) -> Scene:
        target = target_of(request, table)
        if isinstance(target, BackendRecord):
            # Called by its own name a backend has no deadline but its attempts' own.
            deadline_s = min(request.wishes.deadline_s or inf, target.timeout_s * (target.max_retries + 1))
            attempts = target.max_retries + 1
        else:
            deadline_s = target.deadline_s
            attempts = target.max_attempts + (len(table.leaves(target.name)) if target.is_ensemble else 0)
        return Scene(request, table, target, Deadline.after(deadline_s, self._clock), AttemptBudget(attempts))

    async def _play(self, target: ModelRecord | BackendRecord, scene: Scene) -> Outcome:
        if isinstance(target, BackendRecord):
            return await self._ask(target, scene)
        if target.is_ensemble:
            return await self._play_together(target, scene)
        return await self._play_in_order(target, scene)

    async def _play_in_order(self, model: ModelRecord, scene: Scene) -> Outcome:
        """The first member that answers. A refusal that any member would repeat is passed on at once."""
        failure: Failure | None = None
        for name in order(model, scene.table, self._cast.view):
            outcome = await self._play(scene.table.resolve(name), scene)
            if isinstance(outcome, Answer) or _is_final(outcome):
                return outcome
            failure = _more_telling(failure, outcome)
        return failure or _nobody(model)

    async def _ask(self, backend: BackendRecord, scene: Scene, **parameters: object) -> Outcome:
        """One backend's answer or failure, its retries included."""
        if refusal := self._spent(backend, scene):
            return refusal
        call = Call(scene.request.request_id, scene.request.body, scene.deadline.time_left_s())
        started_s = self._clock.monotonic_s()
        try:
            with self._cast.counted(backend.name), self._waiting(scene):
                completion = await self._chain(backend, scene).complete(call.asking(**parameters))
        except LLMError as error:
            return Failure.of(error, backend.name, self._ms_since(started_s))
        return Answer(backend.name, completion, self._ms_since(started_s), _cost_usd(backend, completion.usage))

    # ---- streams ----

    async def _open(self, target: ModelRecord | BackendRecord, scene: Scene) -> Opened | Failure:
        """The first stream that gives a chunk."""
        if isinstance(target, BackendRecord):
            return await self._open_backend(target, scene)
        if target.is_ensemble:
            outcome = await self._play_together(target, scene)
            if isinstance(outcome, Failure):
                return outcome
            return Opened(outcome.backend, _replayed(outcome))
        failure: Failure | None = None
        for name in order(target, scene.table, self._cast.view):
            opened = await self._open(scene.table.resolve(name), scene)
            if isinstance(opened, Opened) or _is_final(opened):
                return opened
            failure = _more_telling(failure, opened)
        return failure or _nobody(target)

    async def _open_backend(self, backend: BackendRecord, scene: Scene) -> Opened | Failure:
        if refusal := self._spent(backend, scene):
            return refusal
        call = Call(scene.request.request_id, scene.request.body, scene.deadline.time_left_s())
        started_s = self._clock.monotonic_s()
        chunks = self._counted(backend.name, self._chain(backend, scene).stream(call))
        try:
            with self._waiting(scene):
                first = await anext(chunks)
        except StopAsyncIteration:
            failure = MalformedAnswer(f"'{backend.name}' ended its stream without a word.", backend.name)
            return Failure.of(failure, backend.name, self._ms_since(started_s))
        except LLMError as error:
            return Failure.of(error, backend.name, self._ms_since(started_s))
        return Opened(backend.name, _with_first(first, chunks))

    async def _counted(self, backend: str, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk, None]:
        with self._cast.counted(backend):
            async with aclosing(chunks) as source:  # type: ignore[type-var]  # ports hand out generators
                async for chunk in source:
                    yield chunk

    async def _live_events(self, scene: Scene, opened: Opened) -> AsyncGenerator[bytes, None]:
        """The upstream's own events; the last one that is sent anyway also carries the `troupe` object."""
        last: bytes | None = None
        with self._ending_recorded(scene, opened.backend):
            async with aclosing(opened.chunks) as chunks:
                async for chunk in chunks:
                    if chunk.usage is not None and _is_bare(chunk) and not scene.request.include_usage:
                        continue
                    if last is not None:
                        yield last
                        last = None
                    if chunk.finish_reason is not None or chunk.usage is not None:
                        last = chunk.data
                    else:
                        yield chunk.data
        record = self._finish(scene, opened.backend)
        if last is not None:
            yield replies.with_troupe(last, record)

    async def _merged_events(self, scene: Scene) -> AsyncGenerator[bytes, None]:
        """Signs of life while the members work, then the merged answer in the shape of a stream."""
        playing = asyncio.create_task(self._play(scene.target, scene))
        pause_s = FIRST_SIGN_AFTER_S
        with self._ending_recorded(scene):
            try:
                while not playing.done():
                    await asyncio.wait({playing}, timeout=pause_s)
                    if not playing.done():
                        yield b""
                    pause_s = KEEP_ALIVE_S
                outcome = playing.result()
            finally:
                await _ended(playing)
            if isinstance(outcome, Failure):
                raise outcome.as_error()
        record = self._finish(scene, outcome.backend)
        *chunks, last = replies.as_chunks(
            replies.merged_body(outcome, record), record.usage if scene.request.include_usage else None
        )
        for chunk in chunks:
            yield chunk.data
        yield replies.with_troupe(last.data, record)

    # ---- keeping the books ----

    @contextmanager
    def _waiting(self, scene: Scene) -> Iterator[None]:
        """Counts the time in which this request waits for at least one model."""
        if scene.waiting == 0:
            scene.waiting_since_s = self._clock.monotonic_s()
        scene.waiting += 1
        try:
            yield
        finally:
            scene.waiting -= 1
            if scene.waiting == 0:
                scene.waited_s += self._clock.monotonic_s() - scene.waiting_since_s

    @contextmanager
    def _ending_recorded(self, scene: Scene, backend: str | None = None) -> Iterator[None]:
        """Records a request that ends in an error, or because the caller has left."""
        try:
            yield
        except LLMError as error:
            self._finish(scene, error.backend or backend, error.code, error.status)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._finish(scene, backend, "cancelled", 499)
            raise
        except Exception:
            self._finish(scene, backend, LLMError.code, LLMError.status)  # recorded, and reported by the edge
            raise

    def _finish(
        self, scene: Scene, backend: str | None, outcome: AttemptOutcome = "ok", status: int = 200
    ) -> DecisionRecord:
        request = scene.request
        priced = [attempt.cost_usd for attempt in scene.attempts if attempt.cost_usd is not None]
        used = [attempt.usage for attempt in scene.attempts if attempt.usage is not None]
        record = DecisionRecord(
            request_id=request.request_id,
            finished_at_s=self._clock.wall_s(),
            model=request.model,
            strategy="single" if isinstance(scene.target, BackendRecord) else scene.target.strategy,
            backend=backend,
            outcome=outcome,
            status=status,
            latency_ms=self._ms_since(request.received_s),
            overhead_ms=self._overhead_ms(scene) if scene.opened_overhead_ms is None else scene.opened_overhead_ms,
            stream=request.stream,
            ttft_ms=next((attempt.ttft_ms for attempt in scene.attempts if attempt.ttft_ms is not None), None),
            attempts=tuple(scene.attempts),
            usage=sum(used[1:], used[0]) if used else None,
            cost_usd=sum(priced) if priced else None,
            ensemble=scene.report,
        )
        self._on_finished(record)
        return record

    def _chain(self, backend: BackendRecord, scene: Scene) -> ModelPort:
        """The way to a backend for one request: retries around single attempts, each of which is recorded."""
        observed = Observed(
            self._cast.port_for(backend),
            backend.name,
            lambda attempt: scene.attempts.append(
                replace(attempt, cost_usd=_cost_usd(backend, attempt.usage))
            ),
            self._clock,
        )
        return Retrying(observed, ...)

    def _spent(self, backend: BackendRecord, scene: Scene) -> Failure | None:
        """Why nothing more may be asked for this request; `None` while time, and money are left."""
        if scene.deadline.time_left_s() <= 0:
            error: LLMError = DeadlineExceeded("The request's deadline passed before an answer was there.")
            return Failure.of(error, backend.name, 0.0)
        limit_usd = scene.target.max_cost_usd if isinstance(scene.target, ModelRecord) else None
        if limit_usd is not None and scene.spent_usd >= limit_usd:
            error = LLMRouterError(f"The request's cost limit of {limit_usd} USD is spent.", code="cost_limit", status=402)
            return Failure.of(error, backend.name, 0.0)
        return None

    def _overhead_ms(self, scene: Scene) -> float:
        return max(0.0, self._ms_since(scene.request.received_s) - scene.waited_s * 1000)

    def _ms_since(self, moment_s: float) -> float:
        return (self._clock.monotonic_s() - moment_s) * 1000


def _is_final(failure: Failure) -> bool:
    """Whether every other member would refuse the same: the caller's own mistake, but not a too long prompt."""
    return not failure.retryable and 400 <= failure.status < 500 and failure.code != "context_length_exceeded"


def _more_telling(known: Failure | None, new: Failure) -> Failure:
    """The failure to report when all failed: what a backend said rather than that time or money ran out."""
    return known if known is not None and new.code in ("deadline_exceeded", "cost_limit") else new


def _nobody(model: ModelRecord) -> Failure:
    return Failure.of(LLMRouterError(f"No member of '{model.name}' can take this request now."), model.name, 0.0)


def _is_bare(chunk: Chunk) -> bool:
    """Whether a chunk carries usage and nothing else."""
    return chunk.finish_reason is None and not chunk.text and not orjson.loads(chunk.data).get("choices")


async def _with_first(first: Chunk, rest: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


async def _replayed(answer: Answer) -> AsyncGenerator[Chunk, None]:
    for chunk in replies.as_chunks(answer.completion.body, answer.completion.usage):
        yield chunk


async def _ended(task: asyncio.Task[Outcome]) -> None:
    """Returns when the task has ended, cancelling it if it still runs."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def _cost_usd(backend: BackendRecord, usage: Usage | None) -> float | None:
    if backend.price is None or usage is None:
        return None
    return backend.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
