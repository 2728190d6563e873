import pytest

from actors.optimizing.rating import rated, ratings_json
from actors.protocol.ratings import Verdict


def test_a_rating_begins_at_one_half() -> None:
    found = rated([Verdict("math", "a", 1.0)])

    # (1 + 2 * 0.5) / (1 + 2)
    assert found["math"]["a"].quality_01 == pytest.approx(2 / 3)
    assert found["any"] == found["math"]


def test_tasks_are_rated_apart_and_together() -> None:
    found = rated([Verdict("math", "a", 1.0), Verdict("code", "a", 0.0)])

    assert found["math"]["a"].quality_01 > 0.5 > found["code"]["a"].quality_01
    assert found["any"]["a"].quality_01 == pytest.approx(0.5, abs=0.001)


def test_after_a_change_the_newest_judgements_prevail() -> None:
    was_good_is_bad = [Verdict("math", "a", 0.0)] * 600 + [Verdict("math", "a", 1.0)] * 1400

    assert rated(was_good_is_bad)["any"]["a"].quality_01 < 0.5


def test_the_report_has_intervals_within_0_and_1() -> None:
    told = ratings_json(rated([Verdict("math", "a", 1.0)] * 50))["math"]["a"]

    assert told["low_01"] < told["quality_01"] < told["high_01"] <= 1.0
