import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.protocol.ratings import UNRATED, Rating, propensities, rating_for


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(0, 10_000), st.floats(0, 0.5))
def test_propensities_sum_to_one_and_exploration_is_bounded(predicted: list[float], judged: int, share: float) -> None:
    found = propensities(predicted, judged, share)

    assert sum(found) == pytest.approx(1.0)
    assert min(found) >= 0.0
    assert 1.0 - found[predicted.index(max(predicted))] <= share + 1e-9


def test_chances_follow_the_gaps() -> None:
    # 1 / (3 + 50 * sqrt(4) * gap): gaps of 0.1 and 0.2
    assert propensities([0.7, 0.6, 0.5], 4) == pytest.approx([1 - 1 / 13 - 1 / 23, 1 / 13, 1 / 23])


def test_without_exploration_the_best_is_always_asked() -> None:
    assert propensities([0.2, 0.9], 0, 0.0) == [0.0, 1.0]


def test_a_type_of_task_of_which_little_is_known_borrows_from_all_the_others() -> None:
    ratings = {"any": {"a": Rating(0.5, 100.0)}, "math": {"a": Rating(0.9, 10.0)}}

    assert rating_for("math", "a", ratings).quality_01 == pytest.approx((0.9 * 10 + 0.5 * 10) / 20)
    assert rating_for("math", "a", ratings).judgements == 20
    assert rating_for("code", "a", ratings) == rating_for("any", "a", ratings) == Rating(0.5, 100.0)
    assert rating_for("math", "b", ratings) == UNRATED
