import math
import pickle
import random

import pytest

from actors.optimizing import quality_predictor
from actors.optimizing.quality_predictor import LEAST, Check, LatestPredictor, packed, predictor, unpacked
from actors.optimizing.quality_predictor import Sample as Judged
from actors.protocol.ratings import Seen, Verdict

SUMS = [f"Compute {n} * {n + 7} - {3 * n} and give me the number." for n in range(40)]
POEMS = [f"Write {n} lines about the sea, the wind and a sailor who is lost." for n in range(40)]


def judged(n: int, seed: int = 1, skilled: bool = True) -> list[Judged]:
    """Judgements of one type of task, newest first: `a` is right on sums and `b` on poems, or both by chance."""
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        backend, is_sum = rng.choice("ab"), rng.random() < 0.5
        right = (backend == "a") == is_sum if skilled and rng.random() < 0.9 else rng.random() < 0.5
        features = unpacked(packed(rng.choice(SUMS if is_sum else POEMS)))
        assert features is not None
        found.append(Judged(Verdict("unknown", backend, float(right)), features))
    return found


def test_features_are_the_same_after_packing_but_for_their_last_digits() -> None:
    features = unpacked(packed(SUMS[0]))

    assert features is not None
    assert features[0] == 1.0
    assert len(packed(SUMS[0])) == len(packed("x" * 5_000))
    assert "Compute" not in packed(SUMS[0])


def test_features_of_another_release_are_passed_over() -> None:
    assert unpacked(packed(SUMS[0])[:-8]) is None
    found = predictor(judged(300), 1)
    assert found is not None
    assert found.expected(packed(SUMS[0])[:-8], "unknown") == {}


def test_each_ones_strength_is_found_within_one_type_of_task() -> None:
    found = predictor(judged(600), 1)

    assert found is not None
    on_sums, on_poems = (found.expected(packed(question), "unknown") for question in (SUMS[3], POEMS[3]))
    assert on_sums["a"].quality_01 > 0.75 > 0.25 > on_sums["b"].quality_01
    assert on_poems["b"].quality_01 > 0.75 > 0.25 > on_poems["a"].quality_01
    assert 0.0 < on_sums["a"].reach_01 < 0.3


def test_predictions_are_checked_on_what_was_not_known_and_used_where_they_are_better() -> None:
    found = predictor(judged(600), 1)

    assert found is not None
    assert found.check.judgements == 480  # all but the oldest fifth
    assert found.check.error < found.check.rating_error / 2
    assert found.check.is_better
    lowest, *_, highest = found.check.bins
    assert lowest.observed_01 < 0.2 < 0.8 < highest.observed_01
    assert sum(one.judgements for one in found.check.bins) == 480


def test_where_questions_say_nothing_predictions_are_not_found_to_be_better() -> None:
    made = [predictor(judged(400, seed, skilled=False), 1) for seed in range(10)]

    assert sum(found is not None and found.check.is_better for found in made) <= 2


def test_on_a_type_of_task_of_which_ratings_surely_know_more_nothing_is_predicted() -> None:
    by_question = judged(900)
    by_type = [  # worded like the others, but here `a` is always right, as its rating soon says and no word does
        one._replace(verdict=Verdict("chat", one.verdict.backend, float(one.verdict.backend == "a")))
        for one in judged(180, seed=2)
    ]
    both = [one for ten in range(180) for one in (*by_question[5 * ten : 5 * ten + 5], by_type[ten])]

    found = predictor(both, 1)

    assert found is not None
    assert found.check.is_better  # on all of them together
    assert found.check.as_json()["not_on"] == ["chat"]
    assert found.expected(packed(SUMS[3]), "chat") == {}
    assert found.expected(packed(SUMS[3]), "unknown")["a"].quality_01 > 0.7


def test_by_a_few_judgements_no_type_of_task_is_excepted() -> None:
    few = [one._replace(verdict=one.verdict._replace(task_type="chat", reward_01=0.0)) for one in judged(29, seed=2)]

    found = predictor([*few, *judged(600)], 1)

    assert found is not None
    assert found.check.worse_on == frozenset()


def test_with_few_judgements_nothing_is_predicted() -> None:
    assert predictor(judged(LEAST - 1), 1) is None


def test_where_each_gets_what_suits_it_the_rare_others_keep_predictions_in_use() -> None:
    suiting = [one for one in judged(1500) if one.verdict.reward_01 == 1.0][:540]
    others = [one._replace(counts=10.0) for one in judged(300, seed=2) if one.verdict.reward_01 == 0.0][:60]
    seldom = [one for ten in range(60) for one in (*suiting[9 * ten : 9 * ten + 9], others[ten])]

    alike, weighed = predictor([one._replace(counts=1.0) for one in seldom], 1), predictor(seldom, 1)

    assert alike is not None
    assert weighed is not None
    assert weighed.check.rating_error > 2 * alike.check.rating_error
    assert weighed.check.is_better


def test_a_replica_expects_the_same_as_the_optimizer() -> None:
    found = predictor(judged(600), 7)

    sent = pickle.loads(pickle.dumps(found))

    assert found is not None
    assert sent.version == 7
    assert len(pickle.dumps(found)) < 120_000
    for question in (SUMS[3], POEMS[3]):
        there, here = (one.expected(packed(question), "unknown") for one in (sent, found))
        assert there["a"].quality_01 == pytest.approx(here["a"].quality_01, abs=0.02)
        assert there["a"].reach_01 == pytest.approx(here["a"].reach_01, abs=0.02)


def test_it_is_made_anew_when_enough_was_judged_since() -> None:
    latest = LatestPredictor()
    assert latest.is_due  # nothing was looked at yet

    latest.renew(seen(judged(200)), 5)
    assert not latest.is_due
    for _ in range(10):  # a twentieth of 200
        latest.note()

    assert latest.is_due
    assert latest.version == 5


def test_the_more_was_judged_the_less_boldly_is_explored() -> None:
    few, many = predictor(judged(150), 1), predictor(judged(1500), 1)

    assert few is not None
    assert many is not None
    assert few.boldness == pytest.approx(0.2 + 1.2 * math.exp(-0.15))
    assert many.boldness == pytest.approx(0.2 + 1.2 * math.exp(-1.5))


def seen(samples: list[Judged]) -> list[Seen]:
    return [Seen(one.verdict, packed(SUMS[number % 40])) for number, one in enumerate(samples)]


def test_predictions_stay_in_use_until_they_are_surely_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    latest, found = LatestPredictor(), []
    errors = iter([(0.21, 0.20), (0.19, 0.20), (0.21, 0.20), (0.22, 0.20), (0.21, 0.20)])

    def checked(*_: object) -> Check:
        error, rating_error = next(errors)
        return Check(80, error, rating_error, 0.01, [])

    monkeypatch.setattr(quality_predictor, "_checked", checked)
    for version in range(1, 6):
        latest.renew(seen(judged(100)), version)
        assert latest.newest is not None
        assert (latest.as_json() or {})["in_use"] is (latest.in_use is latest.newest)
        found.append(latest.in_use is latest.newest)

    #                worse, better, a little worse, surely worse, a little worse
    assert found == [False, True, True, False, False]


def test_typical_questions_stay_until_there_are_four_times_as_many() -> None:
    latest = LatestPredictor()
    all_seen, found = seen(judged(400)), []

    for n in (100, 399, 400):
        latest.renew(all_seen[-n:], n)
        assert latest.newest is not None
        found.append(latest.newest.landmarks)

    assert found[0] is found[1]
    assert found[1] is not found[2]


def test_what_was_judged_of_a_backend_before_it_changed_is_not_learned_from() -> None:
    latest = LatestPredictor()
    before = [Seen(one.verdict._replace(backend="a", reward_01=1.0), packed(SUMS[0])) for one in judged(200)]
    after = [Seen(one.verdict._replace(reward_01=0.0), one.features) for one in before[:40]]
    steady = [Seen(one.verdict._replace(backend="b"), one.features) for one in before]

    latest.renew([*after, *steady, *before], 1)

    assert latest.newest is not None
    assert latest.newest.judgements == 240
    expected = latest.newest.expected(packed(SUMS[0]), "math")  # of a type on which ratings are not better
    assert expected["a"].quality_01 < 0.2 < 0.8 < expected["b"].quality_01
