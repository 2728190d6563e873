"""How are the members of a panel asked, all at once or some at a time, and heard until it has decided?"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from actors.ensembling.merges.self_consistency import SAMPLING_TEMPERATURE
from actors.ensembling.panel import AskMore, AskVerifier, Panel, Step, Wait
from actors.orchestrating.ending import all_ended
from actors.protocol.clock import Clock, Deadline
from actors.protocol.messages import Failure, JsonObject, Outcome
from actors.protocol.trials import NotTried, Trial, TrialResult, Verifier
from actors.protocol.trust import Trust
from actors.routing.table import ModelRecord
from actors.tracing.spans import TracedSection, trace_block_async

DECIDING = TracedSection("ensembler", "decide")

GOES_ON = (Wait, AskMore, AskVerifier)  # a union would be built anew for each step
Asked = Callable[[str], Coroutine[Any, Any, Outcome]]


async def hear_panel(
    panel: Panel,
    ask: Asked,
    absence: Callable[[str], Failure | None],
    deadline: Deadline,
    clock: Clock,
    verifier: Verifier | None = None,
) -> None:
    """Asks the members that the panel invites and reports what they say, until it waits for nobody any more.

    `absence`: why a member is not asked at all. `verifier` tries code while others still work. At the
    deadline the panel expires. Whoever still runs is cancelled.
    """
    started_s = clock.monotonic_s()
    asked: dict[asyncio.Task[Outcome], str] = {}

    def start(names: Sequence[str]) -> None:
        for name in names:
            if (missing := absence(name)) is not None:
                panel.hear(missing)
                continue
            task = asyncio.create_task(ask(name))
            asked[task] = name
            task.add_done_callback(arrivals.arrived)

    with Arrivals(deadline.time_left_s()) as arrivals:
        try:
            start(panel.invited)
            while isinstance(step := _next_step(panel), GOES_ON):
                if isinstance(step, AskVerifier):
                    panel.hear_verifier(await _tried(verifier, step.trials, deadline))
                    continue
                if isinstance(step, AskMore):
                    panel.invite()
                    start(step.members)
                    continue
                done = await arrivals.next()
                for task in done:
                    panel.hear(_named(task.result(), asked[task]))
                if not done:
                    panel.expire((clock.monotonic_s() - started_s) * 1000)
        finally:
            await all_ended(asked)


def _next_step(panel: Panel) -> Step:
    with DECIDING:
        return panel.step()


class Arrivals:
    """A scope that hands out tasks as they end, none when `limit_s` have passed since it was entered.

    `asyncio.wait` would hang a callback on every task, and set a timer, for each task that ends.
    """

    __slots__ = ("_ended", "_is_late", "_limit_s", "_timer", "_woken")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ended: list[asyncio.Task[Outcome]] = []
        self._is_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._woken: asyncio.Future[None] | None = None

    def arrived(self, task: "asyncio.Task[Outcome]") -> None:
        """To be called when a task has ended."""
        self._ended.append(task)
        self._wake()

    async def next(self) -> "Sequence[asyncio.Task[Outcome]]":
        """The tasks that ended since the last time, at least one unless time is up."""
        if not self._ended and not self._is_late:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        ended, self._ended = self._ended, []
        return ended

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._limit_s), self._expire)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._is_late = True
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


async def _tried(verifier: Verifier | None, trials: Sequence[Trial], deadline: Deadline) -> Sequence[TrialResult]:
    """What came of each trial; of none of them where there is no verifier, or no time."""
    if verifier is None:
        return [NotTried("there is no verifier here")] * len(trials)
    try:
        async with trace_block_async("sandbox", "try_out"), asyncio.timeout(deadline.time_left_s()):
            return await asyncio.gather(*(verifier.try_out(trial) for trial in trials))
    except TimeoutError:
        return [NotTried("no time was left for it")] * len(trials)


def seats_of(model: ModelRecord, weights: dict[str, float], trust: Trust | None) -> list[str]:
    """The members in the order in which they are asked: each as often as it is sampled; where not all are asked at
    once, those that count most come first. A cascade keeps its order."""
    if model.merge == "self_consistency":
        return [name for name in model.members for _ in range(model.samples)]
    if model.staged is None or model.strategy == "cascade":
        return list(model.members)
    learned = {} if trust is None else trust.weights
    return sorted(model.members, key=lambda name: -weights.get(name, 1.0) * learned.get(name, 1.0))


def stage_of(model: ModelRecord) -> int | None:
    """How many members are asked at a time; all when `None`."""
    return 1 if model.strategy == "cascade" else model.staged


def wanted_of(model: ModelRecord, body: JsonObject) -> dict[str, object]:
    """What members are asked for beyond the caller's own request, by parameter of the API."""
    wanted: dict[str, object] = {}
    # Which answer is surest can only be told from log probabilities, where no judge is asked.
    if model.strategy == "cascade" or (model.merge == "best_of_n" and model.judge is None):
        wanted["logprobs"] = True
    if model.merge == "self_consistency" and "temperature" not in body:
        wanted["temperature"] = SAMPLING_TEMPERATURE
    return wanted


def _named(outcome: Outcome, member: str) -> Outcome:
    """A member's outcome under the member's name, whoever spoke for it."""
    return outcome if outcome.backend == member else replace(outcome, backend=member)
