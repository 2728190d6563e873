"""What would another way of asking have brought? Now and then a question is asked in one beside, for nobody to read."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from actors.ensembling.extraction import final_answer
from actors.orchestrating.player import Player
from actors.orchestrating.scene import Scene
from actors.protocol.clock import Deadline
from actors.protocol.messages import Answer, DecisionRecord, EnsembleReport, Failure, Outcome, Vote
from actors.protocol.patterns import Comparison
from actors.resilience.retry import AttemptBudget
from actors.rewriting.questions import with_question
from actors.rewriting.rewriter import Phrasing

AT_ONCE: Final = 2
STRATEGY: Final = "shadow"


class Shadows:
    """Asks beside what was answered already, at most two questions at a time, and none of a backend that is half busy.

    `compare` gets what may teach something. `on_finished` gets a record of every question, since it has cost something:
    under the request's id with `.shadow` behind it and its model, but under no API key, as no caller has asked for it.
    """

    def __init__(
        self,
        player: Player,
        rng: random.Random,
        compare: Callable[[Comparison], None],
        on_finished: Callable[[DecisionRecord], None],
    ) -> None:
        self._player = player
        self._rng = rng
        self._compare = compare
        self._on_finished = on_finished
        self._running: set[asyncio.Task[None]] = set()

    def consider(self, scene: Scene, phrasing: Phrasing, backend: str, text: str) -> None:
        """Takes the answer that a caller got; in a share of all cases something is asked beside. Returns at once."""
        if len(self._running) >= AT_ONCE or self._rng.random() >= phrasing.rewriter.share_01:
            return
        subject = _single(backend, text) if scene.report is None else _of_panel(scene.report, self._rng)
        if subject is None:
            return
        name, plain, expected = subject
        record = scene.table.backends.get(name)
        asked = phrasing.beside(name)
        if record is None or asked is None or 2 * self._player.in_flight(name) > record.max_concurrency:
            return
        task = asyncio.create_task(self._ask(scene, name, plain, expected, asked.pattern, asked.text))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, scene: Scene, backend: str, plain: str, expected: str | None, pattern: str, text: str) -> None:
        record = scene.table.backends[backend]
        beside = replace(
            scene,
            request_id=f"{scene.request_id}.{STRATEGY}",
            body=with_question(scene.body, text),
            target=record,
            deadline=Deadline.after(record.timeout_s, scene.clock),
            budget=AttemptBudget(1),
            came_s=scene.clock.monotonic_s(),
            attempts=[],
            report=None,
            phrasing=None,
            max_cost_usd=None,
        )
        outcome = await self._player.ask(record, beside)
        self._on_finished(_record_of(beside, scene.target.name, pattern, outcome))
        if isinstance(outcome, Answer):
            said = final_answer(outcome.text)
            self._compare(Comparison(scene.request_id, backend, scene.task.task_type, pattern, plain, said, expected))

    async def stop(self) -> None:
        """Gives up what is being asked."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _record_of(scene: Scene, model: str, pattern: str, outcome: Outcome) -> DecisionRecord:
    failure = outcome if isinstance(outcome, Failure) else None
    return DecisionRecord(
        request_id=scene.request_id,
        finished_at_s=scene.clock.wall_s(),
        model=model,
        strategy=STRATEGY,
        backend=outcome.backend,
        outcome="ok" if failure is None else failure.code,
        status=200 if failure is None else failure.status,
        latency_ms=outcome.latency_ms,
        overhead_ms=0.0,
        stream=False,
        attempts=tuple(replace(attempt, pattern=pattern) for attempt in scene.attempts),
        usage=scene.usage,
        cost_usd=scene.cost_usd,
        table_version=scene.table.version,
        task_type=scene.task.task_type,
        pattern=pattern,
    )


def _single(backend: str, text: str) -> tuple[str, str, None] | None:
    """A backend's own answer; `None` where it states none that could be compared."""
    said = final_answer(text)
    return None if said is None else (backend, said, None)


def _of_panel(report: EnsembleReport, rng: random.Random) -> tuple[str, str, str] | None:
    """One member with what it voted for, and what the others agreed on; `None` where no two of them did.

    Leaving out its own vote keeps the comparison fair: a member always agrees with itself.
    """
    votes = [vote for vote in report.votes if vote.answer is not None]
    if len(votes) < 3:
        return None
    chosen = rng.choice(votes)
    expected = agreed([vote for vote in votes if vote is not chosen])
    return None if expected is None or chosen.answer is None else (chosen.backend, chosen.answer, expected)


def agreed(votes: Sequence[Vote]) -> str | None:
    """The answer with most weight, if at least two gave it."""
    weights: dict[str, float] = {}
    for vote in votes:
        if vote.answer is not None:
            weights[vote.answer] = weights.get(vote.answer, 0.0) + vote.weight
    best = max(weights, key=weights.__getitem__, default=None)
    return best if sum(vote.answer == best for vote in votes) >= 2 else None
