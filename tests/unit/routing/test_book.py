"""A backend's book: whom it knows, what it grants, and when it wants to hear of them again."""

import pytest

from actors.protocol.clock import ManualClock
from actors.routing.book import Book
from actors.routing.shares import Allowance, Grant, Renewal


class Asking:
    """Replicas that keep to what they are granted, and a book for them."""

    def __init__(self, limit: Allowance, replicas: int) -> None:
        self.clock = ManualClock()
        self.limit = limit
        self.book = Book(limit, replicas, self.clock)
        self.held: dict[str, Allowance] = {}

    def renew(self, holder: str, calls: int, in_flight: int = 0, rpm: float | None = None) -> Grant:
        held = self.held.get(holder, Allowance(0))
        grant = self.book.renew(Renewal(holder, held, in_flight, Allowance(calls, rpm)))
        self.held[holder] = grant.share
        return grant

    def calls(self, holder: str, calls: int, in_flight: int = 0) -> int:
        return self.renew(holder, calls, in_flight).share.concurrency


def test_the_only_replica_has_everything() -> None:
    asking = Asking(Allowance(8, 60.0, 1_000.0), 1)

    assert asking.renew("a", 100, rpm=500.0) == Grant(Allowance(8, 60.0, 1_000.0), 1.0, is_final=True)


def test_the_part_of_a_replica_that_has_not_come_is_kept() -> None:
    asking = Asking(Allowance(9, 60.0), 3)

    assert asking.renew("a", 100, rpm=500.0).share == Allowance(3, 20.0)


def test_one_who_is_in_use_renews_every_second_and_an_idle_one_seldom() -> None:
    asking = Asking(Allowance(8), 1)
    assert asking.renew("a", 1).renew_in_s == 1.0

    asking.clock.advance(9.0)
    assert asking.renew("a", 0).renew_in_s == 1.0
    asking.clock.advance(1.0)
    assert asking.renew("a", 0).renew_in_s == 10.0


def test_an_idle_replica_whose_share_shrinks_says_soon_that_it_keeps_to_it() -> None:
    asking = Asking(Allowance(8), 2)
    asking.renew("a", 1)
    asking.clock.advance(10.0)

    shrinking, kept = asking.renew("a", 0), asking.renew("a", 0)

    assert (shrinking.share.concurrency, shrinking.renew_in_s) == (1, 1.0)
    assert (kept.share.concurrency, kept.renew_in_s) == (1, 10.0)


def test_while_shares_move_both_sides_renew_soon() -> None:
    asking = Asking(Allowance(8), 2)
    asking.renew("b", 1)
    asking.renew("a", 3)  # each has 4

    waiting, giving, given, served = (asking.renew(*asked) for asked in (("b", 9), ("a", 3), ("a", 3), ("b", 9)))

    assert (waiting.share.concurrency, waiting.is_final, waiting.renew_in_s) == (4, False, 0.2)
    assert (giving.share.concurrency, giving.renew_in_s, given.renew_in_s) == (3, 0.2, 1.0)
    assert (served.share.concurrency, served.is_final, served.renew_in_s) == (5, True, 1.0)


def test_a_silent_replica_counts_with_its_equal_part_and_is_then_forgotten() -> None:
    asking = Asking(Allowance(8, 80.0), 3)
    asking.renew("b", 0)
    asking.renew("c", 0)
    asking.clock.advance(11)
    for _ in range(2):
        asking.renew("b", 0)
        asking.renew("c", 0)
        asking.renew("a", 9, rpm=999.0)
    assert asking.held["a"].concurrency == 6

    shares = []
    for later_s in (4.0, 2.0):
        asking.clock.advance(later_s)
        shares.append(asking.renew("b", 9, rpm=999.0).share)

    assert [share.concurrency for share in shares] == [1, 5]  # a counts with 2, c with the 1 that it keeps
    rates = [share.requests_per_min for share in shares]
    assert rates == [pytest.approx(0.4), pytest.approx(80 - 80 / 3 - 0.4)]


def test_the_place_of_a_dead_replica_goes_to_its_successor() -> None:
    asking = Asking(Allowance(8), 1)
    asking.calls("dead", 9, in_flight=8)

    asking.clock.advance(1.4)
    first = asking.calls("new", 9)
    asking.clock.advance(0.2)

    assert (first, asking.calls("new", 9)) == (0, 8)


def test_of_two_silent_replicas_the_one_that_should_have_come_gives_way() -> None:
    asking = Asking(Allowance(8), 2)
    for later_s in (11, 1, 1):
        asking.renew("idle", 0)
        asking.clock.advance(later_s)
    for _ in range(2):
        asking.calls("dead", 9, in_flight=7)
    asking.clock.advance(3)

    assert asking.calls("new", 9) == 7
    assert asking.calls("idle", 0) == 1


def test_after_a_restart_nobody_grows_before_the_others_have_come() -> None:
    asking = Asking(Allowance(8), 2)
    asking.held = {"a": Allowance(7), "b": Allowance(1)}

    assert asking.calls("a", 9, in_flight=7) == 4
    asking.clock.advance(11)
    asking.renew("b", 0)
    asking.clock.advance(11)
    asking.renew("b", 0)

    assert asking.calls("a", 9, in_flight=4) == 7


def test_with_fewer_permits_than_replicas_each_has_its_turn() -> None:
    asking = Asking(Allowance(1), 3)
    served = set()
    for _ in range(100):
        for holder in "abc":
            if asking.calls(holder, 5):
                served.add(holder)
            assert sum(share.concurrency for share in asking.held.values()) <= 1
        asking.clock.advance(0.2)

    assert served == set("abc")
