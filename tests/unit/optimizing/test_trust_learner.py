import random
from collections.abc import Sequence

import pytest

from actors.optimizing.trust_learner import TrustLearner, solved, solved_above
from actors.protocol.trust import NOBODY, Trust

Votes = list[tuple[str, str | None]]


def taught(members: Sequence[str], lessons: Sequence[tuple[Votes, str | None]]) -> Trust:
    learner = TrustLearner(members)
    for votes, right in lessons:
        said = {answer for _, answer in votes}
        learner.learn(votes, frozenset({right if right in said else NOBODY}))
    return learner.trust


def test_weights_start_equal() -> None:
    assert TrustLearner(["a", "b"]).trust == Trust({"a": 1.0, "b": 1.0}, 0.5, 0)


def test_who_is_right_against_another_gains_what_that_one_loses() -> None:
    trust = taught(["a", "b"], [([("a", "1"), ("b", "2")], "1")])

    assert trust.weights["a"] > trust.weights["b"]
    assert trust.judgements == 1


def test_weights_stay_near_each_other_while_judgements_are_few() -> None:
    lesson: tuple[Votes, str] = ([("a", "1"), ("b", "2")], "1")

    after_one, after_many = taught(["a", "b"], [lesson]), taught(["a", "b"], [lesson] * 100)

    assert after_one.weights["a"] - after_one.weights["b"] < 0.3
    assert after_many.weights["a"] - after_many.weights["b"] > 2.0


def test_copies_of_one_model_share_its_weight() -> None:
    rng = random.Random(4)

    def lesson(copies: int) -> tuple[Votes, str]:
        said = {name: "right" if rng.random() < 0.7 else f"wrong of {name}" for name in ("a", "b")}
        return [("a", said["a"]), *((f"b{n}", said["b"]) for n in range(copies))], "right"

    once = taught(["a", "b0"], [lesson(1) for _ in range(400)])
    thrice = taught(["a", "b0", "b1", "b2"], [lesson(3) for _ in range(400)])

    assert sum(thrice.weights[f"b{n}"] for n in range(3)) == pytest.approx(once.weights["b0"], rel=0.25)
    assert thrice.weights["a"] == pytest.approx(once.weights["a"], rel=0.25)


def test_one_far_ahead_outweighs_the_others_together() -> None:
    rng = random.Random(5)
    lessons: list[tuple[Votes, str | None]] = []
    for _ in range(300):
        best = "right" if rng.random() < 0.95 else "slip"
        lessons.append(([("best", best), ("b", "tempting"), ("c", "tempting")], "right"))

    trust = taught(["best", "b", "c"], lessons)

    assert trust.weights["best"] > trust.weights["b"] + trust.weights["c"]


def test_a_verdict_of_wrong_moves_belief_away_from_that_answer_alone() -> None:
    learner = TrustLearner(["a", "b"])
    votes: Votes = [("a", "1"), ("b", "2")]

    learner.learn(votes, frozenset({"2", NOBODY}))

    assert learner.trust.beliefs(votes)["1"] < TrustLearner(["a", "b"]).trust.beliefs(votes)["1"]
    assert learner.trust.weights["a"] < learner.trust.weights["b"]


def test_confidence_comes_to_mean_what_it_says() -> None:
    rng = random.Random(6)
    learner = TrustLearner(["a"])
    for _ in range(2_000):
        learner.learn([("a", "x")], frozenset({"x" if rng.random() < 0.8 else NOBODY}))

    assert learner.trust.beliefs([("a", "x")])["x"] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    "possible", [frozenset({"1", "2", NOBODY}), frozenset({"never said"}), frozenset[str | None]()]
)
def test_what_says_nothing_teaches_nothing(possible: frozenset[str | None]) -> None:
    learner = TrustLearner(["a", "b"])

    learner.learn([("a", "1"), ("b", "2")], possible)

    assert learner.trust == TrustLearner(["a", "b"]).trust


def test_a_new_member_begins_with_the_mean_of_the_others() -> None:
    learner = TrustLearner(["a", "b"])
    learner.learn([("a", "1"), ("b", "2")], frozenset({"1"}))

    learner.admit(["a", "c"])
    known = learner.trust.weights
    learner.learn([("b", "1"), ("c", "2")], frozenset({"2"}))

    assert known["c"] == pytest.approx((known["a"] + known["b"]) / 2)
    assert learner.trust.weights["c"] > known["c"]


def test_a_system_of_equations_is_solved() -> None:
    assert solved_above([[2.0, 1.0], [1.0, 3.0]], [-4.0, 7.0], [-1.0, -9.0]) == pytest.approx([-1.0, 8 / 3])
    assert solved([[2.0, 1.0], [1.0, 3.0]], [4.0, 7.0]) == pytest.approx([1.0, 2.0])
