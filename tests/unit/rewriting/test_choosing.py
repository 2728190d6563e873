import pytest

from actors.protocol.patterns import Gain
from actors.rewriting.choosing import chances, trials_beside

DELTA = 0.02
GOOD = Gain(0.3, 0.1, 0.5, 60)
FAIR = Gain(0.1, -0.01, 0.21, 60)
DOUBTFUL = Gain(0.3, -0.2, 0.8, 5)
BAD = Gain(-0.4, -0.7, -0.1, 30)


def test_what_nothing_is_known_of_is_tried_so_rarely_that_no_more_than_delta_can_be_lost() -> None:
    found = chances(["a", "b"], {}, DELTA)

    # Each might cost 1 whenever it is tried; together they are tried 0.02 of the time.
    assert found == pytest.approx({"a": 0.01, "b": 0.01, "plain": 0.98})


def test_a_pattern_that_is_safe_and_better_is_taken_and_plain_goes_on_being_compared() -> None:
    assert chances(["good"], {"good": GOOD}, DELTA) == pytest.approx({"good": 0.9, "plain": 0.1})


def test_of_two_safe_ones_the_better_is_taken_and_the_other_tried() -> None:
    found = chances(["good", "fair"], {"good": GOOD, "fair": FAIR}, DELTA)

    assert found == pytest.approx({"good": 0.8, "fair": 0.1, "plain": 0.1})


def test_a_better_mean_is_not_enough() -> None:
    found = chances(["doubtful"], {"doubtful": DOUBTFUL}, DELTA)

    # 0.02 may be lost, and 0.2 whenever it is tried.
    assert found == pytest.approx({"doubtful": 0.1, "plain": 0.9})


def test_what_the_best_one_itself_may_lose_is_not_lost_again_by_trying_others() -> None:
    found = chances(["fair", "new"], {"fair": FAIR}, DELTA)

    # FAIR may lose 0.01 of the 0.02; what is left is tried with a loss of 1.
    assert found["new"] == pytest.approx(0.01)


def test_what_is_known_to_be_worse_is_not_tried() -> None:
    assert chances(["bad"], {"bad": BAD}, DELTA) == {"plain": 1.0}
    assert trials_beside(["bad", "doubtful"], {"bad": BAD, "doubtful": DOUBTFUL}) == ["doubtful"]


def test_without_any_leave_to_lose_nothing_is_tried() -> None:
    assert chances(["a"], {}, 0.0)["plain"] == 1.0


@pytest.mark.parametrize("delta", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("gains", [{}, {"a": GOOD}, {"a": FAIR, "b": DOUBTFUL}, {"a": BAD, "b": GOOD, "c": FAIR}])
def test_even_at_the_lower_bounds_a_request_loses_no_more_than_delta(gains: dict[str, Gain], delta: float) -> None:
    found = chances(["a", "b", "c"], gains, delta)

    lost = -sum(
        share * gains[name].low if name in gains else -share for name, share in found.items() if name != "plain"
    )
    assert sum(found.values()) == pytest.approx(1.0)
    assert min(found.values()) >= 0.0
    assert lost <= delta + 1e-9
