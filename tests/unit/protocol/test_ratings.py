import pytest

from actors.protocol.ratings import UNRATED, Rating, rating_for


def test_a_type_of_task_of_which_little_is_known_borrows_from_all_the_others() -> None:
    ratings = {"any": {"a": Rating(0.5, 100.0)}, "math": {"a": Rating(0.9, 10.0)}}

    assert rating_for("math", "a", ratings).quality_01 == pytest.approx((0.9 * 10 + 0.5 * 10) / 20)
    assert rating_for("math", "a", ratings).judgements == 20
    assert rating_for("code", "a", ratings) == rating_for("any", "a", ratings) == Rating(0.5, 100.0)
    assert rating_for("math", "b", ratings) == UNRATED
