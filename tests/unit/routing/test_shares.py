"""Shares of a limit: never more than there is, and nothing left over that anybody wants."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.routing.shares import Account, Allowance, fair_shares, static_share

DEMANDS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 300), min_size=1)


def test_who_wants_less_than_an_equal_part_gets_it_and_the_others_share_the_rest() -> None:
    assert fair_shares(12, {"a": 2, "b": 9, "c": 9}) == {"a": 2, "b": 5, "c": 5}
    assert fair_shares(12, {"a": 2, "b": 4, "c": 9}) == {"a": 2, "b": 4, "c": 6}


def test_whole_shares_use_a_limit_that_does_not_divide() -> None:
    assert fair_shares(8, {"a": 9, "b": 9, "c": 9}, whole=True) == {"a": 2, "b": 3, "c": 3}


def test_with_less_than_one_for_each_everybody_has_a_turn() -> None:
    demands = {"a": 5.0, "b": 1.0, "c": 9.0, "idle": 0.0}

    winners = [
        max(shares, key=shares.__getitem__) for turn in range(4) if (shares := fair_shares(1, demands, True, turn))
    ]

    assert set(winners) == {"a", "b", "c"}


@given(limit=st.integers(0, 400), demands=DEMANDS, whole=st.booleans(), turn=st.integers(0, 9))
def test_fair_shares_are_max_min_fair(limit: int, demands: dict[str, float], whole: bool, turn: int) -> None:
    shares = fair_shares(limit, demands, whole, turn)

    assert all(0 <= shares[name] <= demands[name] for name in demands)
    assert sum(shares.values()) == pytest.approx(min(limit, sum(demands.values())))
    # Nobody who goes short sees another with more (by a whole one, where shares are whole).
    short = min((shares[name] for name in demands if shares[name] < demands[name] - 1e-9), default=math.inf)
    assert max(shares.values()) <= short + (1 if whole else 1e-9)
    if whole:
        assert all(share == int(share) for share in shares.values())


def test_a_static_share_is_an_equal_part_and_of_too_few_calls_nothing() -> None:
    assert static_share(Allowance(9, 60.0), 2) == Allowance(4, 30.0)
    assert static_share(Allowance(1, None, 6.0), 3) == Allowance(0, None, 2.0)


@pytest.mark.parametrize(
    ("limit", "replicas", "kept"),
    [(8, 2, 1), (400, 2, 4), (1000, 5, 2), (3, 4, 0), (8, 1, 8)],
)
def test_an_idle_replica_keeps_a_little_and_the_only_one_everything(limit: int, replicas: int, kept: int) -> None:
    assert Account(limit, replicas, whole=True).floor == kept


def test_a_share_grows_only_by_what_others_have_given_back() -> None:
    account = Account(8, 2, whole=True)

    alone = account.renew("a", held=4, in_use=4, wanted=9)  # b may use its 4 without having asked
    idle = account.renew("b", held=4, in_use=0, wanted=None)
    waiting = account.renew("a", held=4, in_use=4, wanted=9)  # b has not yet kept to less
    account.renew("b", held=1, in_use=0, wanted=None)
    grown = account.renew("a", held=4, in_use=4, wanted=9)

    assert [standing.share for standing in (alone, idle, waiting, grown)] == [4, 1, 4, 7]
    assert [waiting.is_final, waiting.is_moving, grown.is_final, grown.is_moving] == [False, True, True, False]


def test_running_calls_count_until_they_have_ended() -> None:
    account = Account(8, 2, whole=True)
    account.renew("b", held=1, in_use=0, wanted=None)
    account.renew("a", held=7, in_use=7, wanted=7)
    account.renew("b", held=1, in_use=1, wanted=9)

    assert account.renew("a", held=7, in_use=7, wanted=7).share == 4
    account.renew("a", held=4, in_use=6, wanted=6)

    assert account.renew("b", held=1, in_use=1, wanted=9).share == 2


def test_what_nobody_wants_is_divided_among_those_who_lately_wanted_anything() -> None:
    account = Account(9, 3, whole=True)
    for _ in range(2):
        shares = [account.renew(name, held, 0, wanted).share for name, held, wanted in (("a", 1, 3), ("b", 1, 1))]
        idle = account.renew("c", 1, 0, None).share

    assert (shares, idle) == ([5, 3], 1)  # 9 - 1 kept, 3 and 1 wanted, the other 4 in halves


@given(
    limit=st.integers(1, 200),
    replicas=st.integers(1, 8),
    whole=st.booleans(),
    rounds=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 300), st.integers(0, 5)), max_size=60),
)
def test_what_is_committed_never_exceeds_the_limit(
    limit: int, replicas: int, whole: bool, rounds: list[tuple[int, int, int]]
) -> None:
    account = Account(limit, replicas, whole)
    held = {f"r{number}": account.static for number in range(replicas)}
    running = dict.fromkeys(held, 0.0)
    for number, wanted, turn in rounds:
        holder = f"r{number % replicas}"
        standing = account.renew(holder, held[holder], running[holder], wanted or None, turn)
        held[holder] = standing.share
        # It begins calls up to its share; those beyond a smaller one go on.
        running[holder] = max(min(running[holder], wanted), min(wanted, standing.share))

        assert account.committed <= limit + 1e-9
        assert sum(running.values()) <= limit + 1e-9
