from collections.abc import Sequence

import numpy as np
import pytest

from actors.optimizing.quality_predictor import packed
from actors.optimizing.question_features import Floats
from benchmarks.recorded import Scores
from benchmarks.routing import WINDOW, bandit, full_information, recovery, tf_idf, tradeoff


def scores(prompts: Sequence[str], scores_01: Floats) -> Scores:
    return Scores(["a", "b"], prompts, ["unknown"] * len(prompts), [packed(prompt) for prompt in prompts], scores_01)


def test_a_perfect_ranking_recovers_the_lead_first() -> None:
    weak, strong = np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4)

    found = tradeoff(np.array([4.0, 3.0, 2.0, 1.0]), weak, strong)

    # Recovered after 0, 1, ... calls: 0, 1/2, 1, 1, 1; by trapezoids (1/4 + 3/4 + 1 + 1) / 4.
    assert (found.apgr, found.cpt_50, found.cpt_80) == pytest.approx((0.75, 0.25, 0.5))


def test_a_word_that_is_everywhere_counts_least() -> None:
    common_and_rare = tf_idf(["the cat", "the dog", "the sun"])[0]

    assert np.linalg.norm(common_and_rare) == pytest.approx(1.0)
    assert common_and_rare.max() > 0.9


def test_full_information_finds_who_knows_what_and_no_way_beats_the_oracle() -> None:
    kind = np.random.default_rng(0).integers(0, 2, 240)
    prompts = [f"Compute {n} * 7." if is_sum else f"Write {n} lines about the sea." for n, is_sum in enumerate(kind)]
    data = scores(prompts, np.eye(2)[kind])

    found = full_information(data, orders=2)

    assert min(found["learned"]) > 0.3
    assert max(max(gains) for gains in found.values()) <= max(found["oracle"])


def test_a_bandit_that_sees_only_its_own_choices_settles_on_the_better_model() -> None:
    data = scores(["One and the same question"] * 400, np.tile([0.2, 0.9], (400, 1)))

    played = bandit(data, seeds=range(2))

    assert played.gained[:, -100:].mean() > -0.05


def test_after_a_swap_the_right_choice_is_the_model_that_answers_for_the_better_one() -> None:
    data = scores(["One and the same question"] * 300, np.tile([0.1, 0.9], (300, 1)))

    played = bandit(data, seeds=[0], swap_at=150)

    assert played.overall[0, 100:150].mean() > 0.9
    assert played.overall[0, 250:].mean() > 0.9
    assert np.array_equal(played.right, played.overall)


def test_recovery_is_counted_from_the_swap_to_the_end_of_the_first_window_that_is_good_again() -> None:
    right = np.concatenate([np.ones(WINDOW), np.zeros(50), np.ones(200)])[None]

    # 100 questions with at most ten wrong ones: the last of the window is 50 + 90.
    assert recovery(right, swap_at=WINDOW) == (1.0, 140)
    assert recovery(np.concatenate([np.ones(WINDOW), np.zeros(150)])[None], swap_at=WINDOW) == (1.0, None)
