"""Optimizer: the actor that remembers how requests ended and what people thought of the answers, and learns from it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from actors.edge.vitals import Vitals
from actors.ensembling.extraction import final_answer
from actors.optimizing.agreement import KEPT as VOTES_KEPT
from actors.optimizing.agreement import Agreements
from actors.optimizing.comparisons import Comparisons
from actors.optimizing.drift import since_changes
from actors.optimizing.journal import OUTCOMES_KEPT, Journal
from actors.optimizing.known_requests import KnownRequests
from actors.optimizing.lessons import Lessons, ballots_written, trust_json
from actors.optimizing.pattern_learner import LATEST as TRIALS
from actors.optimizing.pattern_learner import gains, gains_json
from actors.optimizing.quality_predictor import LATEST as SAMPLES
from actors.optimizing.quality_predictor import LatestPredictor
from actors.optimizing.rating import LATEST, rated, ratings_json
from actors.optimizing.scribe import Scribe
from actors.optimizing.weights import EqualWeights, WeightPolicy
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import CallerError, NotFound, OptimizerError
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject, Pulse
from actors.protocol.patterns import Comparison, Gains, Trial
from actors.protocol.predictions import Predictions
from actors.protocol.ratings import Rating, Verdict
from actors.protocol.tasks import UNKNOWN_TASK
from actors.protocol.trust import Trust
from actors.tracing.spans import trace_operations

log = logging.getLogger("troupe.optimizer")

ORPHAN_CHECK_EVERY_S = 5.0
PATIENCE_S = 2.0  # feedback may overtake the record of its own request by this much


@trace_operations("optimizer")
class Optimizer:
    """Keeps the journal through its `Scribe`, and what follows from it until something new is judged."""

    def __init__(
        self,
        state_path: Path,
        backends: Sequence[str],
        end_self: Callable[[], None],
        learns: bool = True,
        delta: float = 0.02,
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
        self._gains: Gains | None = None  # likewise
        self._predictor = LatestPredictor()
        self._delta = delta
        self._judged = 0
        self._scribe = Scribe(state_path, clock, self._read_in, self._learn_of)
        self._requests = KnownRequests()
        self._task_types = {UNKNOWN_TASK}
        self._lessons = Lessons(final_answer)
        self._agreements = Agreements()
        self._comparisons = Comparisons(final_answer)
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the journal and begins to write. A journal that cannot be used shows in `pulse` and is tried again."""
        self._scribe.start()
        self._life = asyncio.create_task(self._live())
        try:
            await self._scribe.submit()
        except OptimizerError as error:
            log.error("%s Outcomes and feedback are refused until it can.", error)

    async def record(self, outcomes: Sequence[DecisionRecord]) -> None:
        """Returns once the outcomes are on disk. What was recorded before is ignored, so batches may be sent again.

        Raises `OptimizerError` if none of them could be written.
        """
        if outcomes:
            await self._scribe.submit(outcomes=outcomes)

    async def feedback(self, feedback: Feedback) -> JsonObject:
        """Returns once the judgement is on disk: `{"request_id", "status"}`, status new, repeated or replaced.

        A request that is not known yet is waited for (2 s), then `NotFound` (`request_not_found`). Raises
        `OptimizerError` when nothing can be written, `CallerError` where a backend is preferred that does not exist.
        """
        if feedback.preferred is not None and feedback.preferred not in self._backends:
            message = f"No backend is called '{feedback.preferred[:64]}'. Available: {', '.join(self._backends[:20])}."
            raise CallerError(message, param="preferred")
        if not self._scribe.is_open:
            await self._scribe.submit()  # opens it, or says why that cannot be done
        if not await self._requests.wait_for(feedback.request_id, self._patience_s):
            raise _not_found(feedback.request_id)
        receipt = await self._scribe.submit(feedback=feedback)
        if receipt == "unknown_request":
            raise _not_found(feedback.request_id)
        self._unsettle()
        self._predictor.note()
        if receipt == "new":
            self._lessons.judge(feedback)
        elif receipt == "replaced":  # what was learned cannot be unlearned singly
            await self._scribe.with_journal(self._relearn)
        await self._add_trials(self._comparisons.judge(feedback, self._clock.wall_s()))
        return {"request_id": feedback.request_id, "status": receipt}

    async def compare(self, comparisons: Sequence[Comparison]) -> None:
        """Learns from answers to questions that were put in two ways, as soon as it is known what is right.

        Raises `OptimizerError` when nothing can be written.
        """
        await self._add_trials(self._comparisons.compare(comparisons, self._clock.wall_s()))

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
            found = await self._scribe.with_journal(partial(_ratings_in, self._agreements.newest_first()))
            if judged != self._judged:
                return found  # and read again when next asked for
            self._ratings = found
        return self._ratings

    async def gains(self) -> Gains:
        """Per backend and task type: what each way of putting a question gains. Raises `OptimizerError`."""
        if not self._learns:
            return {}
        if self._gains is None:
            judged = self._judged
            found = await self._scribe.with_journal(lambda journal: gains(journal.trials(TRIALS)))
            if judged != self._judged:
                return found  # and read again when next asked for
            self._gains = found
        return self._gains

    async def predictions(self, known_version: int) -> tuple[int, Predictions | None] | None:
        """What was learned of questions, with its version; `None` in it while ratings say more, and instead of it
        where there is nothing newer than what is known. Raises `OptimizerError`."""
        if not self._learns:
            return None
        latest = self._predictor
        if latest.is_due:
            seen = await self._scribe.with_journal(lambda journal: journal.seen_verdicts(SAMPLES, with_features=True))
            # Not in the journal's thread: it takes a third of a second, and feedback waits for that one.
            await asyncio.to_thread(latest.renew, seen, int(self._clock.wall_s() * 1000))
        return None if latest.version == known_version else (latest.version, latest.in_use)

    async def report(self) -> JsonObject:
        """What `/api/optimizer` shows. Raises `OptimizerError` when the journal cannot be read."""
        report = await self._scribe.with_journal(self._read_report)
        learned: JsonObject = {"weights": await self.weights(), "trust": trust_json(self._lessons.trust())}
        learned["ratings"] = ratings_json(await self.ratings())
        learned["patterns"] = gains_json(await self.gains(), self._delta)
        learned["predictions"] = self._predictor.as_json()
        return report | {"learned": learned}

    async def export_learning(self) -> JsonObject:
        """The latest 10,000 judgements in force, and as many comparisons, oldest first, for `import_learning`.

        Raises `OptimizerError`.
        """
        verdicts = await self._scribe.with_journal(lambda journal: journal.verdicts(OUTCOMES_KEPT))
        trials = await self._scribe.with_journal(lambda journal: journal.compared(OUTCOMES_KEPT))
        return {
            "judgements": [verdict.as_json() for verdict in reversed(verdicts)],
            "comparisons": [trial.as_json() for trial in reversed(trials)],
        }

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> int:
        """Takes over what was learned elsewhere, as the newest; returns how much was new. Raises `OptimizerError`."""
        adopted = await self._scribe.with_journal(lambda journal: journal.adopt(learned))
        self._unsettle()
        return adopted

    async def reset_learning(self) -> None:
        """Forgets all that was learned; earlier requests are no longer known. Raises `OptimizerError`."""
        await self._scribe.with_journal(lambda journal: journal.forget())
        self._requests.replace(())
        self._task_types = {UNKNOWN_TASK}
        self._lessons, self._agreements = Lessons(final_answer), Agreements()
        self._comparisons, self._predictor = Comparisons(final_answer), LatestPredictor()
        self._unsettle()

    async def pulse(self) -> Pulse:
        """The answer to a probe: unhealthy, with the reason, while the journal cannot be used."""
        return self.vitals.pulse(
            self._scribe.fault is None,
            self._scribe.fault,
            queued=float(self._scribe.queued),
            awaited_requests=float(self._requests.awaited),
        )

    async def stop(self) -> None:
        """Writes what waits and closes the journal. Safe to call twice."""
        if self._life is not None and self._life is not asyncio.current_task():
            self._life.cancel()
        await self._scribe.stop()

    async def _live(self) -> None:
        while not self.vitals.orphaned():  # noqa: ASYNC110  # being orphaned is the absence of an event
            await asyncio.sleep(ORPHAN_CHECK_EVERY_S)
        log.warning("the optimizer has had no supervisor for a minute and ends itself")
        await self.stop()
        self._end_self()

    # ---- learning ----

    async def _add_trials(self, trials: Sequence[Trial]) -> None:
        if trials and self._learns:
            await self._scribe.with_journal(lambda journal: journal.add_trials(trials))
            self._unsettle()

    def _unsettle(self) -> None:
        """What was worked out of the journal must be worked out again."""
        self._judged += 1
        self._ratings = self._gains = None

    def _learn_of(self, outcomes: Sequence[DecisionRecord]) -> None:
        self._lessons.note(outcomes)
        if self._agreements.note(outcomes):
            self._unsettle()
        for outcome in outcomes:
            self._requests.add(outcome.request_id)
            self._task_types.add(outcome.task_type)

    # ---- in the journal's thread ----

    def _read_in(self, journal: Journal) -> None:
        """Takes over what was known when the journal was last in use."""
        self._requests.replace(journal.request_ids())
        self._task_types = {UNKNOWN_TASK} | {total.task_type for total in journal.totals()}
        self._agreements.restore(journal.ensembles(VOTES_KEPT))
        self._relearn(journal)

    def _relearn(self, journal: Journal) -> None:
        """Learns anew from all feedback in force whose outcome the journal still holds."""
        lessons = Lessons(final_answer, self._lessons.ballots)
        for record, feedback in journal.judged():
            lessons.judge(feedback, ballots_written(record))
        self._lessons = lessons

    def _read_report(self, journal: Journal) -> JsonObject:
        counts, totals = journal.feedback_counts(), journal.totals()
        changes = since_changes(journal.seen_verdicts(LATEST))[1]
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


def _ratings_in(agreements: Sequence[Verdict], journal: Journal) -> Mapping[str, Mapping[str, Rating]]:
    held = since_changes(journal.seen_verdicts(LATEST))[0]
    return rated((one.verdict for one in held), agreements)


def _not_found(request_id: str) -> NotFound:
    return NotFound(f"No request '{request_id[:64]}' is known.", param="request_id", code="request_not_found")
