"""Optimizer: the actor that remembers how requests ended and what people thought of the answers, and learns from it."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from actors.edge.vitals import Vitals
from actors.ensembling.extraction import final_answer
from actors.optimizing.agreement import KEPT as VOTES_KEPT
from actors.optimizing.agreement import Agreements
from actors.optimizing.drift import since_changes
from actors.optimizing.journal import OUTCOMES_KEPT, Journal, JournalDamaged, Receipt
from actors.optimizing.lessons import Lessons, ballots_written, trust_json
from actors.optimizing.rating import LATEST, rated, ratings_json
from actors.optimizing.weights import EqualWeights, WeightPolicy
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError, NotFound, OptimizerError, Overloaded, Unprocessable
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject, Pulse
from actors.protocol.ratings import Rating, Verdict
from actors.protocol.tasks import UNKNOWN_TASK
from actors.protocol.trust import Trust
from actors.tracing.spans import trace_operations

log = logging.getLogger("troupe.optimizer")

T = TypeVar("T")

ORPHAN_CHECK_EVERY_S = 5.0
PATIENCE_S = 2.0  # feedback may overtake the record of its own request by this much
MAX_WAITING = 1_000
MAX_GROUP = 1_000


@dataclass(slots=True)
class Job:
    """Something to be written; `done` tells its sender when it is on disk."""

    done: "asyncio.Future[Receipt | None]"
    outcomes: Sequence[DecisionRecord] = ()
    feedback: Feedback | None = None


@dataclass(slots=True)
class Awaited:
    """A request that feedback spoke of before it was recorded, and how many wait for it."""

    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


@trace_operations("optimizer")
class Optimizer:
    """Holds the journal. What arrives while a commit is under way is committed together as the next one."""

    def __init__(
        self,
        state_path: Path,
        backends: Sequence[str],
        end_self: Callable[[], None],
        learns: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        policy: WeightPolicy | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.vitals = Vitals("optimizer", clock)
        self._state_path = state_path
        self._backends = tuple(backends)
        self._end_self = end_self
        self._clock = clock
        self._policy = policy or EqualWeights()
        self._patience_s = patience_s
        self._learns = learns
        self._ratings: Mapping[str, Mapping[str, Rating]] | None = None  # worked out when asked for
        self._judged = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._journal: Journal | None = None
        self._fault: str | None = None
        self._known: dict[str, None] = {}  # in the order of recording; what the journal evicts is forgotten here, too
        self._task_types = {UNKNOWN_TASK}
        self._lessons = Lessons(final_answer)
        self._agreements = Agreements()
        self._awaited: dict[str, Awaited] = {}
        self._jobs: list[Job] = []
        self._work = asyncio.Event()
        self._stopping = False
        self._writer: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the journal and begins to write. A journal that cannot be used shows in `pulse` and is tried again."""
        self._writer = asyncio.create_task(self._write_forever())
        self._life = asyncio.create_task(self._live())
        try:
            await self._submit()
        except OptimizerError as error:
            log.error("%s Outcomes and feedback are refused until it can.", error)

    async def record(self, outcomes: Sequence[DecisionRecord]) -> None:
        """Returns once the outcomes are on disk. What was recorded before is ignored, so batches may be sent again.

        Raises `OptimizerError` if none of them could be written.
        """
        if outcomes:
            await self._submit(outcomes=outcomes)

    async def feedback(self, feedback: Feedback) -> JsonObject:
        """Returns once the judgement is on disk: `{"request_id", "status"}`, status new, repeated or replaced.

        A request that is not known yet is waited for (2 s), then `NotFound` (`request_not_found`). Raises
        `OptimizerError` when nothing can be written.
        """
        if self._journal is None:
            await self._submit()  # opens it, or says why that cannot be done
        if feedback.request_id not in self._known:
            await self._wait_for(feedback.request_id)
        receipt = await self._submit(feedback=feedback)
        if receipt == "unknown_request":
            raise _not_found(feedback.request_id)
        self._judged += 1
        self._ratings = None
        if receipt == "new":
            self._lessons.judge(feedback)
        elif receipt == "replaced":  # what was learned cannot be unlearned singly
            await self._in_thread(self._relearn)
        return {"request_id": feedback.request_id, "status": receipt}

    async def weights(self) -> Mapping[str, Mapping[str, float]]:
        """Per task type that was seen, and for `unknown`: a weight per backend, summing to 1."""
        return {task: self._policy.weights_for(task, self._backends) for task in sorted(self._task_types)}

    async def trust(self) -> Mapping[str, Mapping[str, Trust]]:
        """Per ensemble and task type: what feedback taught about its members."""
        return self._lessons.trust() if self._learns else {}

    async def ratings(self) -> Mapping[str, Mapping[str, Rating]]:
        """Per task type and for `any`: how good each backend's answers were. Raises `OptimizerError`."""
        if not self._learns:
            return {}
        if self._ratings is None:
            judged = self._judged
            found = await self._in_thread(self._read_ratings, self._agreements.newest_first())
            if judged != self._judged:
                return found  # and read again when next asked for
            self._ratings = found
        return self._ratings

    async def report(self) -> JsonObject:
        """What `/api/optimizer` shows. Raises `OptimizerError` when the journal cannot be read."""
        report = await self._in_thread(self._read_report)
        learned: JsonObject = {"weights": await self.weights(), "trust": trust_json(self._lessons.trust())}
        learned["ratings"] = ratings_json(await self.ratings())
        return report | {"learned": learned}

    async def export_learning(self) -> JsonObject:
        """The latest 10,000 judgements in force, oldest first, for `import_learning`. Raises `OptimizerError`."""
        verdicts = await self._in_thread(lambda: self._opened().verdicts(OUTCOMES_KEPT))
        return {"judgements": [verdict.as_json() for verdict in reversed(verdicts)]}

    async def import_learning(self, judgements: Sequence[Verdict]) -> int:
        """Takes judgements over as the newest ones, and returns how many were new. Raises `OptimizerError`."""
        adopted = await self._in_thread(lambda: self._opened().adopt(judgements))
        self._judged += 1
        self._ratings = None
        return adopted

    async def reset_learning(self) -> None:
        """Forgets all that was learned; earlier requests are no longer known. Raises `OptimizerError`."""
        await self._in_thread(lambda: self._opened().forget())
        self._known.clear()
        self._task_types = {UNKNOWN_TASK}
        self._lessons, self._agreements = Lessons(final_answer), Agreements()
        self._judged += 1
        self._ratings = None

    async def pulse(self) -> Pulse:
        """The answer to a probe: unhealthy, with the reason, while the journal cannot be used."""
        return self.vitals.pulse(
            self._fault is None, self._fault, queued=float(len(self._jobs)), awaited_requests=float(len(self._awaited))
        )

    async def stop(self) -> None:
        """Writes what waits and closes the journal. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        self._work.set()
        if self._life is not None and self._life is not asyncio.current_task():
            self._life.cancel()
        if self._writer is not None:
            await self._writer
        if self._journal is not None:
            await self._in_thread(self._journal.close)
        self._thread.shutdown(wait=False)

    async def _live(self) -> None:
        while not self.vitals.orphaned():  # noqa: ASYNC110  # being orphaned is the absence of an event
            await asyncio.sleep(ORPHAN_CHECK_EVERY_S)
        log.warning("the optimizer has had no supervisor for a minute and ends itself")
        await self.stop()
        self._end_self()

    # ---- waiting ----

    async def _wait_for(self, request_id: str) -> None:
        with self._awaiting(request_id) as awaited:
            try:
                async with asyncio.timeout(self._patience_s):
                    await awaited.recorded.wait()
            except TimeoutError:
                raise _not_found(request_id) from None

    @contextmanager
    def _awaiting(self, request_id: str) -> Iterator[Awaited]:
        if request_id not in self._awaited and len(self._awaited) >= MAX_WAITING:
            raise Overloaded("Too much feedback waits for requests that are not known yet.", retry_after_s=1.0)
        awaited = self._awaited.setdefault(request_id, Awaited())
        awaited.waiting += 1
        try:
            yield awaited
        finally:
            awaited.waiting -= 1
            if not awaited.waiting:
                self._awaited.pop(request_id, None)

    def _learn_of(self, outcomes: Sequence[DecisionRecord]) -> None:
        self._lessons.note(outcomes)
        if self._agreements.note(outcomes):
            self._judged += 1
            self._ratings = None
        for outcome in outcomes:
            self._known[outcome.request_id] = None
            self._task_types.add(outcome.task_type)
            if awaited := self._awaited.get(outcome.request_id):
                awaited.recorded.set()
        while len(self._known) > OUTCOMES_KEPT:
            del self._known[next(iter(self._known))]

    # ---- writing ----

    async def _submit(
        self, outcomes: Sequence[DecisionRecord] = (), feedback: Feedback | None = None
    ) -> Receipt | None:
        """Hands a job to the writer and waits until it is done; an empty one only makes sure that the file is open."""
        if self._stopping or self._writer is None:
            raise OptimizerError("The optimizer is not running; try again in a moment.", retry_after_s=1.0)
        job = Job(asyncio.get_running_loop().create_future(), outcomes, feedback)
        self._jobs.append(job)
        self._work.set()
        return await job.done

    async def _write_forever(self) -> None:
        while self._jobs or not self._stopping:
            await self._work.wait()
            group, self._jobs = self._jobs[:MAX_GROUP], self._jobs[MAX_GROUP:]
            if group:
                await self._write(group)
            if not self._jobs and not self._stopping:
                self._work.clear()

    async def _write(self, group: Sequence[Job]) -> None:
        try:
            results = await self._in_thread(self._commit, group)
        except Exception as error:  # noqa: BLE001  # the writer outlives any failure; it is told to all who wait for it
            failure = error if isinstance(error, LLMError) else _unforeseen(error)
            self._fault = str(failure)
            results = [failure] * len(group)
        else:
            self._fault = None
        for job, result in zip(group, results, strict=True):
            if not isinstance(result, LLMError):
                self._learn_of(job.outcomes)
            if job.done.done():  # its sender was cancelled
                continue
            if isinstance(result, LLMError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # ---- in the journal's thread ----

    def _commit(self, group: Sequence[Job]) -> list[Receipt | LLMError | None]:
        try:
            return self._commit_together(group)
        except JournalDamaged as error:
            log.error("%s", error)
            self._close()
            return self._commit_together(group)
        except (UnicodeError, TypeError):  # one of them holds what cannot be written; the others shall not suffer
            return [self._commit_alone(job) for job in group]

    def _commit_together(self, group: Sequence[Job]) -> list[Receipt | LLMError | None]:
        outcomes = [outcome for job in group for outcome in job.outcomes]
        feedback = [job.feedback for job in group if job.feedback is not None]
        journal = self._opened()
        receipts = iter(journal.commit(outcomes, feedback) if outcomes or feedback else ())
        return [None if job.feedback is None else next(receipts) for job in group]

    def _commit_alone(self, job: Job) -> Receipt | LLMError | None:
        for outcome in job.outcomes:
            try:
                self._opened().commit([outcome], [])
            except (UnicodeError, TypeError) as error:
                log.error("the outcome of %r cannot be written (%s)", outcome.request_id, type(error).__name__)
        if job.feedback is None:
            return None
        try:
            return self._opened().commit([], [job.feedback])[0]
        except (UnicodeError, TypeError):
            return Unprocessable("The feedback holds text that is not valid Unicode, or values of a wrong type.")

    def _opened(self) -> Journal:
        if self._journal is None:
            journal = Journal(self._state_path, self._clock)
            self._known = dict.fromkeys(journal.request_ids())
            self._task_types = {UNKNOWN_TASK} | {total.task_type for total in journal.totals()}
            self._journal = journal
            self._agreements.restore(journal.ensembles(VOTES_KEPT))
            self._relearn()
        return self._journal

    def _relearn(self) -> None:
        """Learns anew from all feedback in force whose outcome the journal still holds."""
        assert self._journal is not None
        lessons = Lessons(final_answer, self._lessons.ballots)
        for record, feedback in self._journal.judged():
            lessons.judge(feedback, ballots_written(record))
        self._lessons = lessons

    def _read_ratings(self, agreements: Sequence[Verdict]) -> Mapping[str, Mapping[str, Rating]]:
        return rated(since_changes(self._opened().verdicts(LATEST))[0], agreements)

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _read_report(self) -> JsonObject:
        journal = self._opened()
        counts, totals = journal.feedback_counts(), journal.totals()
        changes = since_changes(journal.verdicts(LATEST))[1]
        return {
            "state": str(self._state_path),
            "set_aside": None if journal.set_aside is None else str(journal.set_aside),
            "feedback": {"acknowledged": counts.acknowledged, "in_force": counts.in_force},
            "changes": [change.as_json() for change in reversed(changes)],
            "outcomes": {
                "recorded": sum(total.count for total in totals),
                "arms": [total.as_json() for total in totals],
            },
        }


def _not_found(request_id: str) -> NotFound:
    return NotFound(f"No request '{request_id[:64]}' is known.", param="request_id", code="request_not_found")


def _unforeseen(error: Exception) -> OptimizerError:
    log.error("the journal failed", exc_info=error)
    return OptimizerError(f"The optimizer's journal failed with {type(error).__name__}.")
