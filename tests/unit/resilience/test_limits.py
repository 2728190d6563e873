"""Does a gate let through exactly as many as it should, and lose no permit?"""

import asyncio

import pytest

from actors.protocol.clock import SYSTEM_CLOCK, Clock, ManualClock
from actors.protocol.errors import Overloaded
from actors.protocol.messages import Usage
from actors.resilience.limits import Gate
from actors.resilience.rates import Rates


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


@pytest.mark.parametrize(("permits", "queue"), [(-1, 1), (1, -1)])
def test_an_impossible_gate_is_refused(permits: int, queue: int) -> None:
    with pytest.raises(ValueError, match="permit"):
        Gate("b", permits, queue)


def test_a_gate_cannot_shrink_below_nothing() -> None:
    with pytest.raises(ValueError, match="permit"):
        Gate("b", 1, 1).resize(-1)


async def test_without_permits_all_wait_until_there_are_some() -> None:
    gate = Gate("b", permits=0, queue=5)
    caller = asyncio.create_task(gate.enter(60.0))
    await steps()
    assert gate.queued == 1

    gate.resize(1)

    assert await caller is True


def test_with_room_a_call_enters_without_an_event_loop() -> None:
    gate = Gate("b", permits=1, queue=0)

    assert [gate.try_enter(), gate.try_enter(), gate.in_flight] == [True, False, 1]


async def test_it_knows_the_peak_of_calls_and_tells_when_they_begin_to_queue() -> None:
    told: list[int] = []
    gate = Gate("b", permits=1, queue=1, on_queueing=lambda: told.append(gate.peak))
    gate.try_enter()
    waiter = asyncio.create_task(gate.enter(60.0))
    await steps()
    with pytest.raises(Overloaded):
        await gate.enter(60.0)

    gate.leave()
    await waiter
    assert (gate.peak, told) == (3, [2, 3])


# ---- rates ----


def rated(requests_per_min: float | None, tokens_per_min: float | None = None, clock: Clock = SYSTEM_CLOCK) -> Gate:
    return Gate("b", permits=9, queue=5, rates=Rates(requests_per_min, tokens_per_min, clock))


async def test_a_call_waits_until_the_rate_lets_it_pass() -> None:
    clock = ManualClock()
    gate = rated(60, clock=clock)
    entered = [gate.try_enter() for _ in range(3)]  # two seconds' worth at once
    caller = asyncio.create_task(gate.enter(60.0))
    await steps()
    assert (entered, gate.in_flight, gate.queued) == ([True, True, False], 2, 1)

    clock.advance(1.0)
    gate.leave()

    assert await caller is True
    assert gate.in_flight == 2


async def test_a_call_that_waits_for_a_rate_is_let_in_when_its_time_has_come() -> None:
    gate = rated(None, tokens_per_min=6_000)  # one in 10 ms
    gate.try_enter(200)  # all that is saved up

    assert await gate.enter(5.0, tokens=1) is True


async def test_what_a_rate_will_not_let_pass_soon_is_refused_at_once_with_the_time_to_come_back() -> None:
    gate = rated(6, clock=ManualClock())
    gate.try_enter()  # 0.2 were saved up: 0.8 are owed

    with pytest.raises(Overloaded, match="used up its rate") as refusal:
        await gate.enter(60.0)

    assert refusal.value.retry_after_s == pytest.approx(10.0)  # until it is full again


async def test_where_more_of_a_rate_may_come_soon_calls_wait_for_it() -> None:
    clock = ManualClock()
    gate = rated(6, clock=clock)
    gate.is_settled = False
    gate.try_enter()
    caller = asyncio.create_task(gate.enter(60.0))
    await steps()

    assert gate.rates is not None
    assert gate.rates.requests is not None
    gate.rates.requests.resize(600)
    clock.advance(2.0)
    gate.resize(9)

    assert await caller is True


async def test_tokens_are_limited_as_requests_are_and_what_was_not_used_is_given_back() -> None:
    gate = rated(None, tokens_per_min=600, clock=ManualClock())
    gate.try_enter(100)  # more than the 20 that are saved up: 80 are owed

    with pytest.raises(Overloaded) as refusal:
        await gate.enter(5.0, tokens=10)
    assert refusal.value.retry_after_s == pytest.approx(9.0)  # 80 owed and 10 wanted, 10 a second

    gate.correct(100, Usage(5, 5))
    assert gate.try_enter(10)
