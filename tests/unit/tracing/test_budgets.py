from actors.protocol.clock import ManualClock
from actors.tracing.budgets import SETTLES_WITHIN_S, BudgetBook
from actors.tracing.usage import Account, Consumption, UsageBook, day_of

BUDGETS = {"key:ann": 8.0}


def used(clock: ManualClock, cost_usd: float) -> UsageBook:
    return UsageBook([(Account(day_of(clock.wall_s()), "team", "ann"), Consumption(1, cost_usd=cost_usd))])


def test_each_replica_gets_its_part_of_what_is_left() -> None:
    clock = ManualClock()
    book = BudgetBook(BUDGETS, 2, clock)
    clock.advance(SETTLES_WITHIN_S)

    assert book.lend("one", {}, UsageBook()) == {"key:ann": 4.0}
    assert book.lend("two", {}, UsageBook()) == {"key:ann": 4.0}
    assert book.lend("one", {"key:ann": 0.0}, used(clock, 4.0)) == {"key:ann": 0.0}
    assert book.lend("two", {"key:ann": 4.0}, used(clock, 4.0)) == {"key:ann": 2.0}
    assert book.lend("one", {"key:ann": 0.0}, used(clock, 4.0)) == {"key:ann": 2.0}


def test_what_is_lent_and_spent_never_exceeds_the_budget() -> None:
    clock, spent_usd, held_usd = ManualClock(), 0.0, {"one": 0.0, "two": 0.0, "three": 0.0}
    book = BudgetBook(BUDGETS, 2, clock)
    clock.advance(SETTLES_WITHIN_S)

    for step in range(60):
        name = ("one", "two", "three")[step * 7 % 3]
        held_usd[name] = book.lend(name, {}, used(clock, spent_usd))["key:ann"]
        spender = ("one", "two")[step % 2]
        spent_usd, held_usd[spender] = spent_usd + held_usd[spender] / 2, held_usd[spender] / 2
        assert spent_usd + sum(held_usd.values()) <= 8.0 + 1e-9

    assert spent_usd > 7.0


def test_just_after_a_restart_nobody_gets_more_than_it_held() -> None:
    clock = ManualClock()
    book = BudgetBook(BUDGETS, 1, clock)

    assert book.lend("one", {"key:ann": 0.5}, used(clock, 4.0)) == {"key:ann": 0.5}
    clock.advance(3.0)
    assert book.lend("one", {"key:ann": 0.5}, used(clock, 4.0)) == {"key:ann": 4.0}


def test_what_a_lost_replica_held_is_lent_again() -> None:
    clock = ManualClock()
    book = BudgetBook(BUDGETS, 1, clock)
    book.lend("lost", {}, UsageBook())

    assert book.lend("new", {}, UsageBook()) == {"key:ann": 0.0}
    clock.advance(60.0)
    assert book.lend("new", {}, UsageBook()) == {"key:ann": 8.0}


def test_a_new_day_begins_with_the_whole_budget() -> None:
    clock = ManualClock()
    book = BudgetBook(BUDGETS, 1, clock)
    usage = used(clock, 8.0)
    clock.advance(86_400.0)

    assert book.lend("one", {}, usage) == {"key:ann": 8.0}
