import numpy as np
import pytest

from actors.optimizing.question_features import Floats, question_features
from actors.optimizing.question_router import QuestionRouter

MATH = question_features("What is 17 + 25?")
PROSE = question_features("Write a long and gloomy poem about the sea")


def taught(rounds: int, rewards: dict[int, tuple[float, float]]) -> QuestionRouter:
    """`rewards`: by arm, on math and on prose."""
    router = QuestionRouter(["first", "second"])
    teach(router, rounds, rewards)
    return router


def teach(router: QuestionRouter, rounds: int, rewards: dict[int, tuple[float, float]]) -> None:
    for _ in range(rounds):
        for arm, (math, prose) in rewards.items():
            router.learn(MATH, arm, math)
            router.learn(PROSE, arm, prose)


def best(router: QuestionRouter, features: Floats) -> int:
    return int(np.argmax(router.predicted_01(features)))


def test_before_anything_was_learned_the_first_arm_is_asked_most() -> None:
    found = QuestionRouter(["first", "second"], explore_share_01=0.2).propensities(MATH)

    assert list(found.round(6)) == [0.8, 0.2]


def test_each_kind_of_question_goes_to_who_is_good_at_it() -> None:
    router = taught(50, {0: (1.0, 0.0), 1: (0.0, 1.0)})

    assert (best(router, MATH), best(router, PROSE)) == (0, 1)


def test_the_same_judgements_make_the_same_router() -> None:
    routers = [taught(50, {0: (1.0, 0.0), 1: (0.0, 1.0)}) for _ in range(2)]

    assert np.array_equal(routers[0].predicted_01(MATH), routers[1].predicted_01(MATH))


def test_nobody_is_asked_more_often_than_the_limit_for_the_sake_of_learning() -> None:
    router = QuestionRouter(["first", "second"], explore_share_01=0.05)
    teach(router, 3, {0: (0.6, 0.6), 1: (0.5, 0.5)})

    assert sorted(router.propensities(MATH)) == [pytest.approx(0.05), pytest.approx(0.95)]


def test_the_more_was_judged_the_less_is_explored() -> None:
    few, many = (taught(rounds, {0: (0.6, 0.6), 1: (0.5, 0.5)}).propensities(MATH)[1] for rounds in (5, 100))

    assert many < few / 2


def test_when_models_are_swapped_what_was_known_is_forgotten() -> None:
    router = taught(50, {0: (0.9, 0.9), 1: (0.1, 0.1)})

    teach(router, 25, {0: (0.1, 0.1), 1: (0.9, 0.9)})

    assert {arm for _, arm in router.changes} == {"first", "second"}
    assert best(router, MATH) == 1
