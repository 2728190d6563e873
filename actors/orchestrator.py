"""Orchestrator: what one request becomes: played on the newest routing table, answered, and recorded.

It runs in every replica, and awaits nothing but the models themselves.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from math import inf
from types import TracebackType
from typing import Any

from actors.edge import replies
from actors.edge.answers_given import AnswersGiven
from actors.edge.gateway import ChatRequest, Reply, StreamedReply
from actors.edge.quality_watch import QualityWatch
from actors.edge.turned_away import CLIENT_CLOSED_REQUEST, refused
from actors.edge.wishes import known_pattern, target_of
from actors.orchestrating.chunks import Sent, as_chunks, is_bare_usage
from actors.orchestrating.ending import all_ended
from actors.orchestrating.leading import leads
from actors.orchestrating.player import Opened, Player
from actors.orchestrating.repairing import resumed
from actors.orchestrating.scene import Cast, Scene
from actors.orchestrating.shadowing import Shadows
from actors.protocol.clock import SYSTEM_CLOCK, Clock, Deadline
from actors.protocol.errors import BackendError, LLMError
from actors.protocol.messages import AttemptOutcome, DecisionRecord, Failure, Feedback, JsonObject, Outcome
from actors.protocol.patterns import Comparison
from actors.protocol.tasks import UNGUESSED, TaskGuess, question_in
from actors.resilience.rates import Bucket
from actors.resilience.retry import AttemptBudget
from actors.rewriting.rewriter import Phrasing, Rewriter
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

FIRST_SIGN_AFTER_S = 1.0  # an ensemble that fails within this is answered with a status, later with an error event
KEEP_ALIVE_S = 5.0
ASIDES_PER_MIN = 12_000.0  # 1 % of a core


class Orchestrator:
    """Plays requests on a cast of models. `on_finished` gets one record per request, whatever became of it.

    `watch`: sees the answers that were given. `rewriter`: puts questions in other ways; `compare`: hears what that
    brought where it was only tried beside. `given`: remembers the answers, for feedback.
    """

    def __init__(
        self,
        cast: Cast,
        on_finished: Callable[[DecisionRecord], None],
        clock: Clock = SYSTEM_CLOCK,
        watch: QualityWatch | None = None,
        rewriter: Rewriter | None = None,
        compare: Callable[[Comparison], None] | None = None,
        given: AnswersGiven | None = None,
    ) -> None:
        self._cast = cast
        self._rewriter = rewriter
        self._given = given
        self._watch = watch
        self._player = Player(cast, clock)
        self._shadows = None if compare is None else Shadows(self._player, cast.view.rng, compare, on_finished)
        self._on_finished = on_finished
        self._clock = clock
        self._asides = Bucket(ASIDES_PER_MIN, clock)

    def in_flight(self, backend: str) -> int:
        """How many of this replica's calls to the backend are under way."""
        return self._player.in_flight(backend)

    def judged(self, feedback: Feedback) -> Feedback:
        """The feedback, with what follows from it for an answer that was given here; a good one becomes an example."""
        if self._given is not None:
            feedback = self._given.judged(feedback)
        if self._rewriter is not None:
            self._rewriter.shelf.judge(feedback)
        return feedback

    async def stop(self) -> None:
        """Gives up what is asked beside."""
        if self._shadows is not None:
            await self._shadows.stop()

    async def complete(self, request: ChatRequest, table: RoutingTable) -> Reply:
        """The whole answer. Raises errors of the `LLMError` tree."""
        scene = self._scene(request, table)
        with self._ending_recorded(request, scene):
            outcome = await self._player.play(scene.target, scene)
            if isinstance(outcome, Failure):
                raise outcome.as_error()
        record = self._finish(request, scene, outcome.backend)
        self._note_answer(scene, outcome.backend, outcome.text)
        if self._watch is not None:
            self._watch.see(request.body, scene.answers or (outcome,), scene.report)
        body = outcome.completion.body if scene.report is None else replies.merged_body(outcome, record)
        told = replies.headers(record.backend, len(record.attempts), record.overhead_ms, record.cost_usd)
        return Reply({**body, "troupe": replies.troupe_object(record)}, told)

    async def open_stream(self, request: ChatRequest, table: RoutingTable) -> StreamedReply:
        """The answer as events. What fails before the first one is raised here or by the first step of `events`."""
        scene = self._scene(request, table)
        if not isinstance(scene.target, BackendRecord) and scene.target.is_ensemble:
            told = replies.headers(None, 0, _overhead_ms(self._clock.monotonic_s() - request.received_s, scene), None)
            is_live = scene.target.is_written or leads(scene.target.stream_leader, request.body)
            events = self._written_events if is_live else self._merged_events
            return StreamedReply(told, events(request, scene))
        with self._ending_recorded(request, scene):
            opened = await self._player.open(scene.target, scene)
            if isinstance(opened, Failure):
                raise opened.as_error()
        overhead_ms = _overhead_ms(self._clock.monotonic_s() - request.received_s, scene)
        told = replies.headers(opened.backend, len(scene.attempts) + 1, overhead_ms, None)
        return StreamedReply(told, self._live_events(request, scene, opened, overhead_ms))

    async def orchestrate(self, request: ChatRequest, table: RoutingTable) -> Sequence[Outcome]:
        """Asks every backend behind the model in parallel: one outcome each, in the members' order."""
        scene = self._scene(request, table)
        leaves = [table.backends[leaf] for leaf in scene.leaves]
        with self._ending_recorded(request, scene):
            outcomes = await asyncio.gather(*(self._player.ask(leaf, scene) for leaf in leaves))
        self._finish(request, scene, None)
        return outcomes

    def _scene(self, request: ChatRequest, table: RoutingTable) -> Scene:
        try:
            target = target_of(request, table)
            if request.wishes.pattern is not None and self._rewriter is not None:
                known_pattern(request.wishes.pattern, self._rewriter.patterns)
        except LLMError as error:
            self._on_finished(refused(request, error, self._clock))
            raise
        if isinstance(target, BackendRecord):  # called by its own name it has no limits but those of its attempts
            deadline_s = min(request.wishes.deadline_s or inf, target.timeout_s * (target.max_retries + 1))
            attempts = min(request.wishes.max_attempts or inf, target.max_retries + 1)
            max_cost_usd = request.wishes.max_cost_usd
        else:
            deadline_s, max_cost_usd = target.deadline_s, target.max_cost_usd
            attempts = target.max_attempts + (target.times_asked(len(table.leaves(target.name))))
        phrasing, task = self._phrased(request, target, table)
        return Scene(
            request_id=request.request_id,
            body=request.body,
            table=table,
            target=target,
            deadline=Deadline.after(deadline_s, self._clock),
            budget=AttemptBudget(int(attempts)),
            clock=self._clock,
            max_cost_usd=max_cost_usd,
            came_s=request.received_s,
            task=task,
            features=self._features(request.body, target, task),
            phrasing=phrasing,
        )

    def _phrased(
        self, request: ChatRequest, target: ModelRecord | BackendRecord, table: RoutingTable
    ) -> tuple[Phrasing | None, TaskGuess]:
        """In which ways the question may be put, and what kind of question it is."""
        rewriter, wishes = self._rewriter, request.wishes
        if rewriter is None:
            return None, self._task(request.body, target)
        mode = rewriter.mode_of(wishes.rewrite, None if isinstance(target, BackendRecord) else target.rewrite)
        if mode == "never" and wishes.pattern is None:
            return None, self._task(request.body, target)
        task = self._cast.detect(question_in(request.body["messages"]))
        found = rewriter.phrasing(request.body, mode, task.task_type, request.key_name, table.gains, wishes.pattern)
        return found, task

    def _note_answer(self, scene: Scene, backend: str, text: str) -> None:
        """Keeps the answer for what may be said of it, and may have the question asked in another way beside."""
        if self._given is not None:
            self._given.note(scene.request_id, text)
        phrasing = scene.phrasing
        if phrasing is None:
            return
        phrasing.answered(scene.request_id, text)
        if phrasing.mode == "shadow" and self._shadows is not None:
            self._shadows.consider(scene, phrasing, backend, text)

    def _features(self, body: JsonObject, target: ModelRecord | BackendRecord, task: TaskGuess) -> str:
        if isinstance(target, BackendRecord) or target.strategy != "learned":
            return ""
        return self._cast.describe(question_in(body["messages"]), task.permille)

    def _task(self, body: JsonObject, target: ModelRecord | BackendRecord) -> TaskGuess:
        """Always told where it decides something; else, for reports and later learning, as often as costs next to
        nothing."""
        if isinstance(target, BackendRecord) or not target.goes_by_task:
            if not self._asides.has(1):
                return UNGUESSED
            self._asides.take(1)
        return self._cast.detect(question_in(body["messages"]))

    async def _live_events(
        self, request: ChatRequest, scene: Scene, opened: Opened, overhead_ms: float
    ) -> AsyncGenerator[bytes, None]:
        """The upstream's own events; the last one that is sent anyway also carries the `troupe` object.

        A stream that breaks off goes on by another call where that is possible without a seam.
        """
        held: bytes | None = None
        finish_reason: str | None = None
        sent = Sent()
        backend = opened.backend
        going: Opened | None = opened
        with self._ending_recorded(request, scene, opened.backend, overhead_ms):
            while going is not None:
                backend, current, going = going.backend, going, None
                try:
                    async with aclosing(current.chunks) as chunks:
                        async for chunk in chunks:
                            if chunk.usage is not None and not request.include_usage and is_bare_usage(chunk):
                                continue
                            if held is not None:
                                yield held
                                held = None
                            sent.note(chunk)
                            if chunk.finish_reason is None and chunk.usage is None:
                                yield chunk.data
                            else:
                                held = chunk.data
                                finish_reason = chunk.finish_reason or finish_reason
                except BackendError as error:
                    is_merged = isinstance(scene.target, ModelRecord) and scene.target.is_ensemble
                    going = None if held or is_merged else await resumed(self._player, scene, backend, sent, error)
                    if going is None:
                        raise
        record = self._finish(request, scene, backend, overhead_ms=overhead_ms)
        self._note_answer(scene, backend, sent.text)
        if self._watch is not None and not self._watch.is_full:
            self._watch.see_stream(request.body, backend, sent.text, finish_reason, sent.is_plain)
        if held is not None:
            yield replies.with_troupe(held, record)

    async def _merged_events(self, request: ChatRequest, scene: Scene) -> AsyncGenerator[bytes, None]:
        """Signs of life while the members work, then the merged answer in the shape of a stream."""
        with self._ending_recorded(request, scene):
            playing = asyncio.create_task(self._player.play(scene.target, scene))
            async with aclosing(_signs_of_life(playing)) as signs:
                async for sign in signs:
                    yield sign
            outcome = playing.result()
            if isinstance(outcome, Failure):
                raise outcome.as_error()
        record = self._finish(request, scene, outcome.backend)
        self._note_answer(scene, outcome.backend, outcome.text)
        if self._watch is not None:
            self._watch.see(request.body, scene.answers or (outcome,), scene.report)
        usage = record.usage if request.include_usage else None
        *chunks, last = as_chunks(replies.merged_body(outcome, record), usage)
        for chunk in chunks:
            yield chunk.data
        yield replies.with_troupe(last.data, record)

    async def _written_events(self, request: ChatRequest, scene: Scene) -> AsyncGenerator[bytes, None]:
        """Signs of life until there are words of the model that writes one answer out of all, or of the leader."""
        with self._ending_recorded(request, scene):
            opening = asyncio.create_task(self._player.open(scene.target, scene))
            async with aclosing(_signs_of_life(opening)) as signs:
                async for sign in signs:
                    yield sign
            opened = opening.result()
            if isinstance(opened, Failure):
                raise opened.as_error()
        overhead_ms = _overhead_ms(self._clock.monotonic_s() - request.received_s, scene)
        async with aclosing(self._live_events(request, scene, opened, overhead_ms)) as events:
            async for event in events:
                yield event

    # ---- keeping the books ----

    def _ending_recorded(
        self, request: ChatRequest, scene: Scene, backend: str | None = None, overhead_ms: float | None = None
    ) -> "_Ending":
        """Records a request that ends in an error, or because the caller has left. `overhead_ms`: of a stream, what it
        was when that began; what came after is not ours."""
        return _Ending(partial(self._finish, request, scene, overhead_ms=overhead_ms), backend)

    def _finish(
        self,
        request: ChatRequest,
        scene: Scene,
        backend: str | None,
        outcome: AttemptOutcome = "ok",
        status: int = 200,
        overhead_ms: float | None = None,
    ) -> DecisionRecord:
        elapsed_s = self._clock.monotonic_s() - request.received_s
        first_tokens_ms = (attempt.ttft_ms for attempt in scene.attempts if attempt.ttft_ms is not None)
        record = DecisionRecord(
            request_id=request.request_id,
            finished_at_s=self._clock.wall_s(),
            model=request.model,
            strategy="single" if isinstance(scene.target, BackendRecord) else scene.target.strategy,
            backend=backend,
            outcome=outcome,
            status=status,
            latency_ms=elapsed_s * 1000,
            overhead_ms=_overhead_ms(elapsed_s, scene) if overhead_ms is None else overhead_ms,
            stream=request.stream,
            ttft_ms=next(first_tokens_ms, None),
            attempts=tuple(scene.attempts),
            usage=scene.usage,
            cost_usd=scene.cost_usd,
            ensemble=scene.report,
            excluded=tuple(scene.excluded.items()),
            propensity_01=scene.propensity_01
            * (1.0 if scene.phrasing is None else scene.phrasing.probability_01(backend)),
            key_name=request.key_name,
            table_version=scene.table.version,
            unclosed=scene.table.unclosed,
            traceparent=request.traceparent,
            explored=scene.explored,
            task_type=scene.task.task_type,
            task_permille=scene.task.permille,
            pattern=scene.pattern_of(backend),
            features=scene.features,
            predicted=scene.predicted,
        )
        self._on_finished(record)
        return record


async def _signs_of_life(task: "asyncio.Task[Any]") -> AsyncGenerator[bytes, None]:
    """An empty event now and then until the task is done; left early, it ends the task."""
    try:
        pause_s = FIRST_SIGN_AFTER_S
        while not task.done():
            await asyncio.wait({task}, timeout=pause_s)
            if not task.done():
                yield b""
            pause_s = KEEP_ALIVE_S
    finally:
        await all_ended([task])


class _Ending:
    """A scope whose error, if it ends in one, closes the books."""

    __slots__ = ("_backend", "_finish")

    def __init__(self, finish: Callable[..., DecisionRecord], backend: str | None) -> None:
        self._finish = finish
        self._backend = backend

    def __enter__(self) -> None:
        return

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is None:
            return
        if isinstance(error, LLMError):
            self._finish(error.backend or self._backend, error.code, error.status)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._finish(self._backend, "cancelled", CLIENT_CLOSED_REQUEST)
        else:  # a bug: the edge reports it, the books still close
            self._finish(self._backend, LLMError.code, LLMError.status)


def _overhead_ms(elapsed_s: float, scene: Scene) -> float:
    return max(0.0, elapsed_s - scene.waiting.waited_s) * 1000
