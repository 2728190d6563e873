import numpy as np
import pytest

from actors.optimizing.quality_learner import Judged, Landmarks, faded, fitted


def judged(arm: list[int], reward_01: list[float], weight_01: list[float] | None = None) -> Judged:
    weights = [1.0] * len(arm) if weight_01 is None else weight_01
    return Judged(np.ones((len(arm), 1)), np.array(arm), np.array(reward_01), np.array(weights))


def test_the_better_arm_is_predicted_to_be_better() -> None:
    weights = fitted(judged([0, 1] * 50, [1.0, 0.0] * 50), 2).weights

    assert weights[0, 0] > 0.9
    assert weights[1, 0] < 0.1


def test_an_arm_that_was_never_tried_is_taken_to_be_like_the_others() -> None:
    assert fitted(judged([0] * 40, [0.75] * 40), 2).weights[1, 0] == pytest.approx(0.75)


def test_evidence_of_no_weight_teaches_nothing() -> None:
    known = fitted(judged([0, 0], [1.0, 1.0]), 1).weights

    assert fitted(judged([0, 0, 0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]), 1).weights == pytest.approx(known)


def test_models_that_are_good_at_different_questions_are_told_apart() -> None:
    left, right = [1.0, 0.0], [0.0, 1.0]
    features = np.array([left, right] * 40)
    rows = Landmarks.among(features).describe(features)
    arm = np.repeat([0, 1], 40)
    reward_01 = (np.tile([0, 1], 40) == arm).astype(float)  # the first is right on the left, the second on the right

    predicted = rows[:2] @ fitted(Judged(rows, arm, reward_01, np.ones(80)), 2).weights.T

    assert list(predicted.argmax(1)) == [0, 1]


def test_an_arm_that_was_judged_more_is_less_uncertain() -> None:
    uncertain_by = fitted(judged([0] * 98 + [1] * 2, [0.5] * 100), 2, own_prior=2.0).uncertain_by(np.ones(1))

    # A prior of two judgements and 98 or 2 more: 1 / sqrt(100) and 1 / sqrt(4).
    assert list(uncertain_by) == pytest.approx([0.1, 0.5])


def test_evidence_counts_half_after_its_half_life() -> None:
    assert list(faded(np.array([0.0, 10.0, 20.0]), 10.0)) == [1.0, 0.5, 0.25]
