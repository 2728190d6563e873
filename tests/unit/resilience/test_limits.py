"""Does a gate let through exactly as many as it should, and lose no permit?"""

import asyncio

import pytest

from actors.protocol.errors import Overloaded
from actors.resilience.limits import Gate


async def steps(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_calls_beyond_the_permits_wait_and_come_in_order() -> None:
    gate = Gate("b", permits=1, queue=5)
    came: list[int] = []

    async def caller(number: int) -> None:
        await gate.enter(60.0)
        came.append(number)

    callers = [asyncio.create_task(caller(number)) for number in range(3)]
    await steps()
    assert (came, gate.in_flight, gate.queued) == ([0], 1, 2)

    gate.leave()
    await steps()
    gate.leave()
    await asyncio.gather(*callers)
    assert came == [0, 1, 2]


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    gate = Gate("b", permits=1, queue=0, retry_after_s=2.5)
    assert await gate.enter(60.0) is False

    with pytest.raises(Overloaded, match="'b' is working at its limit") as refusal:
        await gate.enter(60.0)
    assert (refusal.value.retry_after_s, refusal.value.backend) == (2.5, "b")


async def test_waiting_ends_with_patience_and_leaves_nothing_behind() -> None:
    gate = Gate("b", permits=1, queue=1)
    await gate.enter(60.0)

    with pytest.raises(Overloaded, match="no room in time"):
        await gate.enter(0.0)
    assert (gate.in_flight, gate.queued) == (1, 0)


async def test_a_waiter_that_is_cancelled_gives_its_place_up() -> None:
    gate = Gate("b", permits=1, queue=1)
    await gate.enter(60.0)
    waiter = asyncio.create_task(gate.enter(60.0))
    await steps()

    waiter.cancel()
    await steps()

    assert (waiter.cancelled(), gate.queued) == (True, 0)
    gate.leave()
    assert gate.in_flight == 0


async def test_a_permit_that_comes_to_a_cancelled_waiter_goes_to_the_next() -> None:
    gate = Gate("b", permits=1, queue=2)
    await gate.enter(60.0)
    first, second = (asyncio.create_task(gate.enter(60.0)) for _ in range(2))
    await steps()

    gate.leave()  # hands the permit to `first`, which has not run yet
    first.cancel()
    await steps()

    assert first.cancelled()
    assert await second is True
    assert gate.in_flight == 1


async def test_a_gate_that_grows_lets_waiting_calls_in() -> None:
    gate = Gate("b", permits=1, queue=3)
    await gate.enter(60.0)
    waiters = [asyncio.create_task(gate.enter(60.0)) for _ in range(3)]
    await steps()

    gate.resize(3)
    await steps()

    assert (gate.in_flight, gate.queued) == (3, 1)
    gate.resize(1)
    gate.leave()
    gate.leave()
    await steps()
    assert (gate.in_flight, gate.queued) == (1, 1)
    gate.leave()
    await asyncio.gather(*waiters)


@pytest.mark.parametrize(("permits", "queue"), [(0, 1), (1, -1)])
def test_an_impossible_gate_is_refused(permits: int, queue: int) -> None:
    with pytest.raises(ValueError, match="permit"):
        Gate("b", permits, queue)


def test_a_gate_cannot_shrink_to_nothing() -> None:
    with pytest.raises(ValueError, match="permit"):
        Gate("b", 1, 1).resize(0)
