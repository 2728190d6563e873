"""LeaseKeeper: renewals go out when they are due, and one that fails harms no other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.lease_keeper import LeaseKeeper
from actors.orchestrating.holdings import Holdings
from actors.protocol.clock import ManualClock
from actors.protocol.errors import SupervisorError
from actors.routing.shares import Allowance, Grant, Renewal
from actors.routing.table import BackendRecord

A, B = (BackendRecord(name, "openai", "m", hosted=False, max_concurrency=8) for name in "ab")


class Actors:
    """Backends' actors that grant what a test says, or are away."""

    def __init__(self) -> None:
        self.share = Allowance(1)
        self.away: dict[str, Exception] = {}
        self.asked: list[tuple[str, Renewal]] = []

    async def renew(self, backend: str, renewal: Renewal) -> Grant:
        self.asked.append((backend, renewal))
        if backend in self.away:
            raise self.away[backend]
        return Grant(self.share, 1.0, True)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def actors() -> Actors:
    return Actors()


@pytest.fixture
async def holdings(actors: Actors, clock: ManualClock) -> AsyncIterator[Holdings]:
    held = Holdings("r1", 2, clock)
    held.take_up([A, B])
    keeping = asyncio.create_task(LeaseKeeper(held, actors.renew).keep_forever())
    yield held
    keeping.cancel()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_every_backend_is_renewed_at_once_and_its_share_kept_to(holdings: Holdings, actors: Actors) -> None:
    await settled()

    assert [backend for backend, _ in actors.asked] == ["a", "b"]
    assert [holdings.gate(backend).permits for backend in (A, B)] == [1, 1]


async def test_a_call_that_must_queue_brings_its_backend_a_larger_share(
    holdings: Holdings, actors: Actors, clock: ManualClock
) -> None:
    await settled()
    clock.advance(0.5)
    actors.share = Allowance(7)
    gate = holdings.gate(A)
    gate.try_enter()

    assert await gate.enter(5.0) is True
    assert [backend for backend, _ in actors.asked[2:]] == ["a"]
    assert actors.asked[-1][1].wanted.concurrency == 2


@pytest.mark.parametrize("failure", [SupervisorError("away"), RuntimeError("a bug")])
async def test_one_that_fails_harms_no_other(
    holdings: Holdings, actors: Actors, clock: ManualClock, failure: Exception
) -> None:
    await settled()
    actors.away["a"], actors.share = failure, Allowance(3)
    clock.advance(1.1)
    holdings.on_urgent()
    await settled()
    assert [holdings.gate(backend).permits for backend in (A, B)] == [1, 3]

    actors.away.clear()
    clock.advance(0.6)
    holdings.on_urgent()
    await settled()
    assert [holdings.gate(backend).permits for backend in (A, B)] == [3, 3]
