"""A replica's holdings: when they ask, what they keep to, and how a share ages."""

import asyncio
from collections.abc import Callable

import pytest

from actors.orchestrating.holdings import Holding, Holdings
from actors.protocol.clock import ManualClock
from actors.routing.shares import Allowance, Grant
from actors.routing.table import BackendRecord


def holding(limit: Allowance, replicas: int, clock: ManualClock, rouse: Callable[[], None] = lambda: None) -> Holding:
    return Holding("b", "r1", limit, replicas, clock, rouse)


async def steps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def granted(held: Holding, share: Allowance, renew_in_s: float = 1.0, is_final: bool = True) -> None:
    held.renewal()
    held.accept(Grant(share, renew_in_s, is_final))


def test_before_its_first_renewal_it_holds_an_equal_part_and_asks_at_once() -> None:
    held = holding(Allowance(9, 60.0), 2, ManualClock())

    assert (held.share, held.gate.permits, held.due_in_s()) == (Allowance(4, 30.0), 4, 0.0)


def test_it_asks_again_when_it_was_told_to() -> None:
    clock = ManualClock()
    held = holding(Allowance(8), 2, clock)
    granted(held, Allowance(6), renew_in_s=1.0)

    clock.advance(0.4)

    assert held.gate.permits == 6
    assert held.due_in_s() == pytest.approx(0.6)


def test_it_says_what_runs_and_what_was_wanted_since() -> None:
    held = holding(Allowance(8), 2, ManualClock())
    for _ in range(3):
        held.gate.try_enter()
    held.gate.leave()

    first = held.renewal()
    held.accept(Grant(Allowance(4), 1.0, True))
    second = held.renewal()

    assert (first.holder, first.held, first.in_flight, first.wanted.concurrency) == ("r1", Allowance(4), 2, 3)
    assert second.wanted.concurrency == 2


def test_a_steady_rate_is_known_after_a_while() -> None:
    clock = ManualClock()
    held = holding(Allowance(100, 6_000.0, 60_000.0), 2, clock)
    for _ in range(20):
        for _ in range(10):
            held.gate.try_enter(tokens=7)
            held.gate.leave()
        clock.advance(1.0)
        wanted = held.renewal().wanted
        held.accept(Grant(held.share, 1.0, True))

    assert wanted.requests_per_min == pytest.approx(600, rel=0.02)
    assert wanted.tokens_per_min == pytest.approx(4_200, rel=0.02)


async def test_calls_that_begin_to_queue_make_it_ask_soon_but_only_once() -> None:
    clock = ManualClock()
    roused: list[float] = []
    held = holding(Allowance(8), 2, clock, lambda: roused.append(clock.now_s))
    granted(held, Allowance(1))
    clock.advance(0.5)
    callers = [asyncio.create_task(held.gate.enter(60.0)) for _ in range(3)]
    await steps()
    assert (roused, held.due_in_s()) == ([0.5], 0.0)

    granted(held, Allowance(1))
    callers.append(asyncio.create_task(held.gate.enter(60.0)))  # the book knows that calls wait
    await steps()
    assert (len(roused), held.due_in_s()) == (1, 1.0)

    granted(held, Allowance(8))
    await asyncio.gather(*callers)


async def test_urgent_renewals_are_at_least_a_tenth_of_a_second_apart() -> None:
    clock = ManualClock()
    held = holding(Allowance(8), 2, clock)
    granted(held, Allowance(1))
    callers = [asyncio.create_task(held.gate.enter(60.0)) for _ in range(2)]
    await steps()

    assert held.due_in_s() == pytest.approx(0.1)
    granted(held, Allowance(2))
    await asyncio.gather(*callers)


async def test_with_the_whole_limit_there_is_nothing_to_hurry_for() -> None:
    held = holding(Allowance(1), 1, ManualClock(), lambda: pytest.fail("nothing can be had"))
    held.gate.try_enter()
    caller = asyncio.create_task(held.gate.enter(60.0))
    await steps()

    held.gate.leave()
    await caller


def test_a_share_that_is_not_renewed_falls_back_to_an_equal_part() -> None:
    clock = ManualClock()
    held = holding(Allowance(8, 80.0), 2, clock)
    granted(held, Allowance(7, 10.0))
    held.renewal()
    held.miss()

    clock.advance(2.9)
    held.age()
    assert held.share == Allowance(7, 10.0)
    clock.advance(0.2)
    held.age()

    assert held.share == Allowance(4, 10.0)


def test_a_share_ages_from_the_sending_of_its_renewal() -> None:
    clock = ManualClock()
    held = holding(Allowance(8), 2, clock)
    held.renewal()
    clock.advance(1.9)
    held.accept(Grant(Allowance(7), 1.0, True))

    clock.advance(1.2)
    held.age()

    assert held.share == Allowance(4)


def test_without_a_static_share_one_call_is_allowed_when_nobody_answers() -> None:
    clock = ManualClock()
    held = holding(Allowance(1), 4, clock)
    assert not held.gate.try_enter()
    held.renewal()
    held.miss()

    clock.advance(3.1)
    held.age()

    assert held.gate.try_enter()


def test_an_actor_that_is_away_is_asked_less_and_less_often() -> None:
    held = holding(Allowance(8), 2, ManualClock())
    pauses = []
    for _ in range(6):
        held.renewal()
        held.miss()
        pauses.append(held.due_in_s())

    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


async def test_the_queue_is_that_of_the_whole_limit_until_nothing_more_can_be_had() -> None:
    held = holding(Allowance(8), 2, ManualClock())
    assert held.gate.queue == 32

    held.gate.try_enter()
    granted(held, Allowance(1))
    assert (held.gate.queue, held.gate.is_settled) == (32, False)

    caller = asyncio.create_task(held.gate.enter(60.0))
    await steps()
    granted(held, Allowance(5))
    assert (held.gate.queue, held.gate.is_settled) == (30, True)  # 4 for each of its 5 permits, and half as many again
    await caller


def test_holdings_take_up_backends_once_and_give_each_its_gate() -> None:
    clock = ManualClock()
    holdings = Holdings("r1", 2, clock)
    backends = [BackendRecord(name, "openai", "m", hosted=False, max_concurrency=8) for name in ("a", "b")]
    holdings.take_up(backends)
    gate = holdings.gate(backends[0])
    holdings.take_up(backends)

    assert holdings.gate(backends[0]) is gate
    assert [held.backend for held in holdings.due()] == ["a", "b"]
    for held in holdings.due():
        granted(held, Allowance(4))
    clock.advance(0.25)
    assert holdings.next_due_in_s(9.0) == 0.75
