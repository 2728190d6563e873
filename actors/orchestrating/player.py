"""Which members are asked for one request, in which order, and whose answer does the caller get?"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from actors.ensembling.ensembler import MultiModelEnsembler
from actors.ensembling.fusion import synthesis
from actors.ensembling.judging import JudgeQuestion, JudgeReply, reply_of
from actors.ensembling.panel import AskJudge, Done, Failed
from actors.orchestrating.chunks import replayed
from actors.orchestrating.failover import FailoverHandler, capable, is_final
from actors.orchestrating.fan_out import hear_panel, seats_of, stage_of, wanted_of
from actors.orchestrating.hedging import Hedges, hedged
from actors.orchestrating.leading import Leader, attested, chosen_leader, ended, hearing, leads, led
from actors.orchestrating.relay import Relay
from actors.orchestrating.scene import Cast, Scene, cost_of
from actors.protocol.clock import Clock
from actors.protocol.errors import EnsembleError, LLMError, MalformedAnswer
from actors.protocol.messages import Answer, Chunk, Completion, EnsembleReport, Failure, JsonObject, Outcome
from actors.protocol.streams import Closeable, HandedOn
from actors.protocol.trust import Trust, trust_for
from actors.resilience.retry import Sleep
from actors.resilience.wrappers import closing
from actors.routing.strategies import LocalView, callable_now
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

T = TypeVar("T")


@dataclass(slots=True)
class Opened:
    """A stream whose first chunk has arrived, and the backend that gives it."""

    backend: str
    chunks: Closeable[Chunk]


class Player:
    """Plays scenes on a cast. Expected failures are values; only cancellation and bugs are raised."""

    def __init__(self, cast: Cast, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._cast = cast
        self._clock = clock
        self._hedges = Hedges()
        self._sleep = sleep

    @property
    def view(self) -> LocalView:
        """What this replica knows beyond the routing table."""
        return self._cast.view

    def in_flight(self, backend: str) -> int:
        """How many of this replica's calls to the backend are under way."""
        return self._cast.in_flight.get(backend, 0)

    async def play(self, target: ModelRecord | BackendRecord, scene: Scene) -> Outcome:
        """The answer of a backend, or of a model as its strategy says."""
        if isinstance(target, BackendRecord):
            return await self.ask(target, scene)
        if target.is_ensemble:
            return await self._play_together(target, scene)
        return await self._play_in_order(target, scene)

    async def open(self, target: ModelRecord | BackendRecord, scene: Scene) -> Opened | Failure:
        """The stream of a backend, or of the first member of a model that gives a chunk."""
        if isinstance(target, BackendRecord):
            return await self.open_backend(target, scene)
        if target.is_written:
            return await self._open_written(target, scene)
        if leads(target.stream_leader, scene.body):
            return await self._open_led(target, scene)
        if target.is_ensemble:
            outcome = await self._play_together(target, scene)
            return outcome if isinstance(outcome, Failure) else Opened(outcome.backend, replayed(outcome))

        def ask(name: str) -> Awaitable[Opened | Failure]:
            return self.open(scene.table.resolve(name), scene)

        return await self._first_success(target, scene, ask)

    async def ask(self, backend: BackendRecord, scene: Scene, **parameters: object) -> Outcome:
        """One backend's answer or failure, its retries included; `parameters` are set in its call alone."""
        started_s = self._clock.monotonic_s()
        if refusal := scene.exhausted():
            return Failure.of(refusal, backend.name, 0.0)
        try:
            with self._cast.counted(backend.name), scene.waiting:
                completion = await self._cast.port(backend, scene).complete(scene.call(backend.name, **parameters))
        except LLMError as error:
            return Failure.of(error, backend.name, self._ms_since(started_s))
        return Answer(backend.name, completion, self._ms_since(started_s), cost_of(backend, completion.usage))

    async def _play_in_order(self, model: ModelRecord, scene: Scene) -> Outcome:
        """The first member that answers. A refusal that every member would repeat is passed on at once."""

        def ask(name: str) -> Awaitable[Outcome]:
            return self.play(scene.table.resolve(name), scene)

        return await self._first_success(model, scene, ask)

    async def _first_success(
        self, model: ModelRecord, scene: Scene, ask: Callable[[str], Awaitable[T | Failure]]
    ) -> T | Failure:
        handler = FailoverHandler(model, scene, self._cast.view)
        members = iter(handler)

        def spare() -> str | None:
            name = next(members, None) if scene.budget.left else None
            if name is not None:
                self._hedges.spend(model)
            return name

        after_s: float | None = None
        for place, name in enumerate(members):
            if handler.wait_s:
                await self._wait(handler.wait_s, scene)
            if place == 0:
                after_s = self._hedges.after_s(model, name, scene.table)
            if place == 0 and after_s is not None:
                found = await hedged(ask, name, spare, after_s)
            else:
                found = [(name, await ask(name))]
            for _, outcome in found:
                if not isinstance(outcome, Failure) or handler.is_final(outcome):
                    return outcome
        return handler.failure()

    async def _wait(self, wait_s: float, scene: Scene) -> None:
        with scene.waiting:
            await self._sleep(wait_s)

    # ---- all together ----

    async def _play_together(self, model: ModelRecord, scene: Scene) -> Outcome:
        """The members' answers become one as the model's strategy and merge say."""
        if model.strategy == "pipeline":
            return await self._play_pipeline(model, scene)
        outcome = await self._play_panel(model, scene)
        if model.is_written and isinstance(outcome, Answer):
            return await self._written(model, outcome, scene)
        return outcome

    async def _play_pipeline(self, model: ModelRecord, scene: Scene) -> Outcome:
        """Draft, critique, revise: each member works on what the one before it said."""

        async def ask(name: str, body: JsonObject) -> Outcome:
            part = scene.asking(body)
            part.deadline = scene.deadline.sooner(model.deadline_s)
            with scene.waiting:
                return await self.play(scene.table.resolve(name), part)

        return await Relay(model, scene, ask).run()

    async def _play_panel(self, model: ModelRecord, scene: Scene, leader: Leader | None = None) -> Outcome:
        """Members at once or in stages, until the panel has decided. A `leader` is being asked already."""
        started_s = self._clock.monotonic_s()
        weights, trust = prior_weights(model, scene), trust_in(model, scene)
        cascades = model.strategy == "cascade"
        panel = MultiModelEnsembler("cascade" if cascades else model.merge, self._cast.similar).panel(
            asked=seats_of(model, weights, trust),
            body=scene.body,
            weights=weights,
            quorum=1 if cascades else model.quorum,
            trust=trust,
            judged=model.judge is not None,
            judge_logprobs=model.judge is not None and _gives_logprobs(model.judge, scene.table),
            stage=stage_of(model),
            min_confidence_01=model.min_confidence_01,
            drop=model.drop,
            verified=model.verifier is not None,
        )
        able = capable(model.members, scene)
        wanted = wanted_of(model, scene.body)

        def absence(name: str) -> Failure | None:
            if name in able and callable_now(name, scene.table):
                return None
            return _absence(name, scene.excluded.get(name))

        await hear_panel(
            panel,
            hearing(leader, lambda name: self._play_member(name, scene, wanted)),
            absence,
            scene.deadline.sooner(model.deadline_s),
            self._clock,
            self._cast.verifier,
        )
        step = panel.step()
        if isinstance(step, AskJudge):
            panel.hear_judge(await self._judge(model, step.questions, scene))
            step = panel.step()
        if not isinstance(step, Done | Failed):
            raise AssertionError("A panel whose members have all been heard has ended.")
        scene.report = step.report
        scene.report.model = model.name
        if isinstance(step, Failed):
            return _failure_of(model, step, self._ms_since(started_s))
        scene.answers = panel.answers
        return step.answer

    async def _written(self, model: ModelRecord, best: Answer, scene: Scene) -> Answer:
        """One answer out of all, by the model's judge; the best of them where that one fails, or for a tool call."""
        report = scene.report
        if not is_to_be_written(model, best, scene):
            return best
        with scene.waiting:
            outcome = await self.play(scene.table.resolve(model.judge or ""), scene.asking(_synthesis(scene)))
        scene.report = written_report(report, model, outcome)
        return outcome if isinstance(outcome, Answer) else best

    async def _open_written(self, model: ModelRecord, scene: Scene) -> Opened | Failure:
        """The stream of the model that writes one answer out of all, as it writes."""
        best = await self._play_panel(model, scene)
        if isinstance(best, Failure):
            return best
        report = scene.report
        if not is_to_be_written(model, best, scene):
            return Opened(best.backend, replayed(best))
        with scene.waiting:
            opened = await self.open(scene.table.resolve(model.judge or ""), scene.asking(_synthesis(scene)))
        scene.report = written_report(report, model, opened)
        return opened if isinstance(opened, Opened) else Opened(best.backend, replayed(best))

    async def _open_led(self, model: ModelRecord, scene: Scene) -> Opened | Failure:
        """The stream of the member that counts most, while all vote; the merged answer where it gives none."""
        weights, trust = prior_weights(model, scene), trust_in(model, scene)
        learned = {} if trust is None else trust.weights
        able = [name for name in capable(model.members, scene) if callable_now(name, scene.table)]
        name = chosen_leader(model.members, lambda name: weights[name] * learned.get(name, 1.0), able)
        leader = Leader(name, asyncio.get_running_loop().create_future())
        started_s = self._clock.monotonic_s()
        voting = asyncio.create_task(self._play_panel(model, scene, leader))
        try:
            opened = await self.open(scene.table.resolve(name), scene)
            if isinstance(opened, Failure):
                leader.outcome.set_result(opened)
                outcome = await voting
                return outcome if isinstance(outcome, Failure) else Opened(outcome.backend, replayed(outcome))
        except BaseException:
            await ended(voting, leader)
            raise
        backend, chunks = opened.backend, opened.chunks

        def attest(streamed: Answer, voted: Outcome) -> None:
            if scene.report is not None:
                scene.report = attested(scene.report, streamed, voted, self._cast.similar)

        def as_answer(completion: Completion) -> Answer:
            cost_usd = cost_of(scene.table.backends[backend], completion.usage)
            return Answer(backend, completion, self._ms_since(started_s), cost_usd)

        async def close() -> None:
            await ended(voting, leader)
            await chunks.aclose()

        return Opened(backend, HandedOn(led(backend, chunks, leader, voting, attest, as_answer), close))

    async def _play_member(self, name: str, scene: Scene, wanted: Mapping[str, object]) -> Outcome:
        member = scene.table.resolve(name)
        if isinstance(member, ModelRecord):
            return await self.play(member, scene)
        return await self.ask(member, scene, **(wanted if member.supports.logprobs else {}))

    async def _judge(
        self, model: ModelRecord, questions: Sequence[JudgeQuestion], scene: Scene
    ) -> list[JudgeReply | None]:
        """The judge's reply to each question, `None` where it gave none."""
        judge = scene.table.resolve(model.judge or "")

        async def reply_to(question: JudgeQuestion) -> JudgeReply | None:
            # The same limits and books, another question.
            outcome = await self.play(judge, scene.asking(question.body))
            return reply_of(outcome.completion) if isinstance(outcome, Answer) else None

        with scene.waiting:
            return list(await asyncio.gather(*(reply_to(question) for question in questions)))

    # ---- streams ----

    async def open_backend(self, backend: BackendRecord, scene: Scene) -> Opened | Failure:
        """The stream of one backend, once its first chunks have come."""
        started_s = self._clock.monotonic_s()
        if refusal := scene.exhausted():
            return Failure.of(refusal, backend.name, 0.0)
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(self._cast.counted(backend.name))
                stream = self._cast.port(backend, scene).stream(scene.call(backend.name))
                chunks = await stack.enter_async_context(closing(stream))
                taken = await self._first_of(chunks, scene)
                return Opened(backend.name, HandedOn(chunks, stack.pop_all().aclose, *taken))
        except StopAsyncIteration:
            error: LLMError = MalformedAnswer(f"'{backend.name}' ended its stream without a word.", backend.name)
            return Failure.of(error, backend.name, self._ms_since(started_s))
        except LLMError as known:
            return Failure.of(known, backend.name, self._ms_since(started_s))

    async def _first_of(self, chunks: AsyncIterator[Chunk], scene: Scene) -> list[Chunk]:
        """The first chunk, and as many more as are held back; fewer where the stream ends among them."""
        taken: list[Chunk] = []
        with scene.waiting:
            while len(taken) <= scene.hold_back_chunks:
                try:
                    taken.append(await anext(chunks))
                except StopAsyncIteration:
                    if not taken:
                        raise
                    break
        return taken

    def _ms_since(self, moment_s: float) -> float:
        return (self._clock.monotonic_s() - moment_s) * 1000


def prior_weights(model: ModelRecord, scene: Scene) -> dict[str, float]:
    """One weight per member, at least 0: what was learned of it times what its configuration says."""
    table = scene.table
    learned = table.weights.get(scene.task.task_type, {})
    return {
        name: max([learned.get(leaf, 1.0) * table.backends[leaf].weight for leaf in table.leaves(name)])
        for name in model.members
    }


def is_to_be_written(model: ModelRecord, best: Answer, scene: Scene) -> bool:
    """Whether there is more than one text to write from; tool calls are passed on whole."""
    return model.judge is not None and len(scene.answers) > 1 and bool(best.text)


def written_report(
    report: EnsembleReport | None, model: ModelRecord, written: Outcome | Opened
) -> EnsembleReport | None:
    """The panel's report with the writer as winner, or with the reason why it is not."""
    if report is None:
        return None
    if isinstance(written, Failure):
        return replace(report, degraded=True, reasons=[*report.reasons, f"'{model.judge}' failed: {written.code}"])
    return replace(report, winner=written.backend)


def _synthesis(scene: Scene) -> JsonObject:
    return synthesis(scene.body, [answer.text for answer in scene.answers])


def trust_in(model: ModelRecord, scene: Scene) -> Trust | None:
    """What feedback taught about the members of an ensemble, if there was any."""
    learned = scene.table.trust.get(model.name)
    return None if learned is None else trust_for(scene.task.task_type, learned)


def _gives_logprobs(name: str, table: RoutingTable) -> bool:
    return all(table.backends[leaf].supports.logprobs for leaf in table.leaves(name))


def _absence(name: str, unable: str | None) -> Failure:
    if unable is not None:
        return Failure(name, "unsupported", f"'{name}' cannot take this request: {unable}.", 400, False, 0.0)
    message = f"'{name}' is out of service at the moment."
    return Failure(name, "backend_unavailable", message, 503, True, 0.0)


def _failure_of(model: ModelRecord, failed: Failed, latency_ms: float) -> Failure:
    """One failure for a panel of which nobody answered: their common refusal, or a summary."""
    failures = failed.failures
    if failures and all(is_final(failure) for failure in failures):
        return failures[0]
    causes = ", ".join(f"'{failure.backend}': {failure.code}" for failure in failures)
    waits_s = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
    late = bool(failures) and all(failure.code in ("deadline_exceeded", "timeout") for failure in failures)
    error = EnsembleError(
        f"No member of '{model.name}' answered ({causes}).",
        retry_after_s=min(waits_s, default=None),
        status=504 if late else None,
        code="deadline_exceeded" if late else None,
    )
    return Failure.of(error, model.name, latency_ms)
