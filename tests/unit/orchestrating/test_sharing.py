"""Replicas and a backend's book together: does a limit hold while demand moves, and is it used?

Time is simulated in steps of `STEP_S`; gates, holdings and the book are the real ones.
"""

import asyncio
import contextlib
import heapq
import random

import pytest

from actors.orchestrating.holdings import Holding
from actors.protocol.clock import ManualClock
from actors.protocol.errors import Overloaded
from actors.routing.book import Book
from actors.routing.shares import Allowance

STEP_S = 0.1
FOREVER_S = 1e9


class Company:
    """So many replicas that ask one backend, whose answers take `service_s`."""

    def __init__(self, limit: Allowance, replicas: int, service_s: float, tokens: int = 0) -> None:
        self.clock = ManualClock()
        self.service_s = service_s
        self.tokens = tokens
        self.actor_is_away = False
        self.book = Book(limit, replicas, self.clock)
        self.replicas = [Holding("b", f"r{n}", limit, replicas, self.clock, lambda: None) for n in range(replicas)]
        self.started_s: list[float] = []
        self.renewals = 0
        self._waiting: set[asyncio.Task[None]] = set()
        self._ending: list[tuple[float, int]] = []
        self._clients: dict[int, int] = dict.fromkeys(range(replicas), 0)

    @property
    def running(self) -> int:
        return len(self._ending)

    def expect(self, clients: dict[int, int]) -> None:
        """From now on so many clients of each replica always have a call under way or waiting; others leave."""
        self._clients = dict.fromkeys(self._clients, 0) | clients
        for waiting in self._waiting:
            waiting.cancel()

    async def pass_time(self, seconds: float) -> list[int]:
        """How many calls run at the backend, at each step."""
        return [await self._step() for _ in range(round(seconds / STEP_S))]

    async def _step(self) -> int:
        self.clock.advance(STEP_S)
        while self._ending and self._ending[0][0] <= self.clock.now_s:
            _, number = heapq.heappop(self._ending)
            self.replicas[number].gate.leave()
        for number, replica in enumerate(self.replicas):
            gate = replica.gate
            gate.resize(gate.permits)  # in the place of the timer, which runs in real time
            for _ in range(self._clients[number] - gate.in_flight - gate.queued):
                calling = asyncio.create_task(self._call(number))
                self._waiting.add(calling)
                calling.add_done_callback(self._waiting.discard)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for replica in self.replicas:
            replica.age()
            if replica.due_in_s() <= 0:
                self.renewals += 1
                renewal = replica.renewal()
                if self.actor_is_away:
                    replica.miss()
                else:
                    replica.accept(self.book.renew(renewal))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.running

    async def _call(self, number: int) -> None:
        with contextlib.suppress(Overloaded):
            await self.replicas[number].gate.enter(FOREVER_S, self.tokens)
            self.started_s.append(self.clock.now_s)
            heapq.heappush(self._ending, (self.clock.now_s + self.service_s, number))

    def started_between(self, begin_s: float, end_s: float) -> int:
        return sum(begin_s < moment_s <= end_s for moment_s in self.started_s)


def busy(rng: random.Random, replicas: int, clients: int) -> dict[int, int]:
    """Clients at half of the replicas, twice as many at some as at others."""
    chosen = rng.sample(range(replicas), max(1, replicas // 2))
    return {number: max(1, clients * (1 + place % 2) // len(chosen)) for place, number in enumerate(chosen)}


@pytest.mark.parametrize(("replicas", "limit"), [(1, 8), (2, 40), (4, 100), (100, 2_000)])
async def test_calls_at_once_hold_and_use_their_limit_while_demand_moves(replicas: int, limit: int) -> None:
    company, rng = Company(Allowance(limit), replicas, service_s=1.0), random.Random(7)
    settled: list[int] = []
    for _ in range(3):
        company.expect(busy(rng, replicas, 2 * limit))
        steps = await company.pass_time(4.0)
        assert max(steps) <= limit
        settled += steps[round(3.0 / STEP_S) :]  # by then the shares have moved after the demand

    assert min(settled) >= 0.95 * limit


@pytest.mark.parametrize(("replicas", "rpm"), [(1, 600), (2, 600), (4, 6_000), (100, 6_000)])
async def test_a_rate_holds_over_any_minute_and_is_used_while_demand_moves(replicas: int, rpm: int) -> None:
    company, rng = Company(Allowance(5_000, float(rpm)), replicas, service_s=0.1), random.Random(7)
    for _ in range(2):
        company.expect(busy(rng, replicas, 60 + replicas))
        await company.pass_time(60.0)

    minutes = [company.started_between(begin_s, begin_s + 60) for begin_s in range(0, 60, 5)]
    assert max(minutes) <= 1.05 * rpm
    assert min(minutes) >= 0.95 * rpm


async def test_tokens_hold_as_requests_do() -> None:
    company = Company(Allowance(500, None, 6_000.0), 2, service_s=0.1, tokens=10)
    company.expect({0: 30})
    await company.pass_time(30.0)
    company.expect({1: 30})
    await company.pass_time(31.0)

    assert 0.95 * 600 <= company.started_between(0, 60) <= 1.05 * 600


async def test_renewals_do_not_grow_with_the_number_of_calls() -> None:
    counts = []
    for service_s in (2.0, STEP_S):
        company = Company(Allowance(40), 2, service_s)
        company.expect({0: 60, 1: 30})
        await company.pass_time(3.0)
        company.renewals = 0
        await company.pass_time(10.0)
        counts.append((company.renewals, len(company.started_s) // 100))

    (slow_renewals, slow_calls), (fast_renewals, fast_calls) = counts
    assert slow_renewals == fast_renewals == 20  # two replicas, ten seconds
    assert fast_calls > 10 * slow_calls


async def test_a_burst_at_an_idle_replica_has_nearly_the_whole_limit_at_once() -> None:
    company = Company(Allowance(40), 2, service_s=1.0)
    await company.pass_time(25.0)
    company.expect({1: 60})

    assert await company.pass_time(STEP_S) == [39]


async def test_without_the_actor_the_limit_holds_all_the_same() -> None:
    company = Company(Allowance(40), 2, service_s=0.5)
    company.expect({0: 60})
    await company.pass_time(15.0)
    company.actor_is_away = True
    company.expect({0: 60, 1: 60})

    steps = await company.pass_time(6.0)

    assert steps[0] == 40
    assert max(steps) <= 40
    assert steps[-1] == 21  # the equal part of the one, and the one call that the other has kept
