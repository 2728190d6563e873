import random

import numpy as np

from actors.optimizing.quality_predictor import packed
from benchmarks.predicting import Way, played
from benchmarks.recorded import Scores


def two_kinds(n: int) -> Scores:
    """Of one type of task: `a` is right on sums alone, `b` on poems alone."""
    sums = [f"Compute {number} * {number + 7} and give me the number." for number in range(20)]
    poems = [f"Write {number} lines about the sea and the wind." for number in range(20)]
    rng = random.Random(1)
    kinds = [rng.random() < 0.5 for _ in range(n)]
    prompts = [rng.choice(sums if one else poems) for one in kinds]
    scores_01 = np.array([[float(one), float(not one)] for one in kinds])
    return Scores(["a", "b"], prompts, ["chat"] * n, [packed(prompt) for prompt in prompts], scores_01)


def test_predictions_see_what_ratings_cannot() -> None:
    data = two_kinds(300)

    by_ratings, _ = played(data, range(300), Way("", predicts=False, hears_all=True), random.Random(0))
    by_questions, in_use = played(data, range(300), Way("", predicts=True, hears_all=True), random.Random(0))

    assert in_use
    assert sum(by_ratings[200:]) < 70
    assert sum(by_questions[200:]) > 85  # of 100; the rest explores


def test_the_chosen_model_s_score_alone_is_enough_to_find_out_what_suits_whom() -> None:
    got, in_use = played(two_kinds(600), range(600), Way("", predicts=True, hears_all=False), random.Random(0))

    assert in_use
    assert sum(got[400:]) > 170  # of 200
