import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.routing.sampling import Odds, chances_of_being_best, limited, odds


def test_arms_of_which_the_same_is_known_are_asked_alike() -> None:
    assert list(chances_of_being_best(np.full(4, 0.3), np.full(4, 0.2))) == pytest.approx([0.25] * 4)


def test_of_two_arms_the_chance_is_that_of_their_difference_being_positive() -> None:
    # The difference is normal with mean 0.5 and deviation sqrt(0.3**2 + 0.4**2) = 0.5: one deviation, 84.13 %.
    assert chances_of_being_best(np.array([1.0, 0.5]), np.array([0.3, 0.4]))[0] == pytest.approx(0.8413, abs=4e-3)


def test_an_arm_that_is_surely_worse_is_never_asked_and_an_unknown_one_sometimes() -> None:
    chances = chances_of_being_best(np.array([0.8, 0.2, 0.2]), np.array([0.01, 0.01, 0.6]))

    # (0.2 - 0.8) / 0.6: one deviation, 15.87 %.
    assert list(chances) == pytest.approx([0.8413, 0.0, 0.1587], abs=8e-3)


numbers = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9)


@given(numbers)
def test_the_chances_of_all_arms_sum_to_1_and_none_is_negative(arms: list[tuple[float, float]]) -> None:
    mean, deviation = np.array(arms).T

    chances = chances_of_being_best(mean, deviation)

    assert chances.sum() == pytest.approx(1.0)
    assert (chances >= 0.0).all()


def test_all_but_the_best_get_no_more_than_the_limit_in_their_former_proportion() -> None:
    assert list(limited(np.array([0.4, 0.4, 0.2]), 0, 0.3)) == pytest.approx([0.7, 0.2, 0.1])
    assert list(limited(np.array([0.4, 0.4, 0.2]), 0, 0.6)) == pytest.approx([0.4, 0.4, 0.2])
    assert list(limited(np.array([0.4, 0.4, 0.2]), 0, 0.0)) == pytest.approx([1.0, 0.0, 0.0])


@given(numbers, st.floats(0, 1))
def test_odds_name_the_best_and_keep_the_limit(arms: list[tuple[float, float]], share: float) -> None:
    worth, deviation = zip(*arms, strict=True)

    found = odds(worth, deviation, share)

    assert worth[found.best] == max(worth)
    assert sum(found.chances) == pytest.approx(1.0)
    assert 1.0 - found.chances[found.best] <= share + 1e-9


def test_without_exploration_the_best_is_always_asked() -> None:
    assert odds((0.2, 0.9), (0.5, 0.5), 0.0) == Odds(1, [0.0, 1.0])
