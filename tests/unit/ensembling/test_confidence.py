import math

import pytest

from actors.ensembling.ballot import Ballot
from actors.ensembling.confidence import confidence_01

PLAIN = Ballot(0, "a", "42", "42")


def test_three_agreeing_answers_give_four_of_five() -> None:
    assert confidence_01(PLAIN, [1 / 3] * 3, 1.0, 1, True) == pytest.approx((3 + 1) / (3 + 1 + 1))


def test_three_different_answers_give_little() -> None:
    assert confidence_01(PLAIN, [1 / 3] * 3, 1 / 3, 3, True) == pytest.approx((1 + 1) / (3 + 3 + 1))


def test_a_single_answer_has_only_its_own_certainty() -> None:
    assert confidence_01(Ballot(0, "a", "x", "x", logprob_mean=-0.5), [1.0], 1.0, 1, True) == pytest.approx(
        math.exp(-0.5)
    )


def test_nothing_is_known_of_a_single_answer_without_logprobs() -> None:
    assert confidence_01(PLAIN, [1.0], 1.0, 1, True) is None


def test_the_judge_has_one_voice_beside_the_vote() -> None:
    judged = Ballot(0, "a", "42", "42", judge_score_01=1.0)

    assert confidence_01(judged, [0.5, 0.5], 1.0, 1, True) == pytest.approx((2 * 3 / 4 + 1) / 3)


def test_a_truncated_winner_halves_it() -> None:
    truncated = Ballot(0, "a", "42", "42", flaws=("truncated",))

    assert confidence_01(truncated, [1 / 3] * 3, 1.0, 1, True) == pytest.approx(0.4)


def test_a_member_that_holds_all_the_weight_is_worth_one_answer() -> None:
    assert confidence_01(PLAIN, [1.0, 0.0, 0.0], 1.0, 1, True) == pytest.approx(2 / 3)
