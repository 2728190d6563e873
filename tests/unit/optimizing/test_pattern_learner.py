import math
import random

import pytest

from actors.optimizing.pattern_learner import gains, gains_json, reach_of
from actors.protocol.patterns import Trial


def pairs(*rewards: tuple[float, float], pattern: str = "think", backend: str = "a") -> list[Trial]:
    return [Trial(backend, "math", pattern, rewritten, plain) for rewritten, plain in rewards]


def test_a_gain_is_the_mean_difference_pulled_towards_none() -> None:
    gain = gains(pairs((1, 0), (1, 0), (1, 1), (0, 0)))["a"]["math"]["think"]

    # (2 + 2 * 0) / (4 + 2), but for old ones counting a little less
    assert gain.gain == pytest.approx(2 / 6, abs=0.001)
    assert gain.trials == pytest.approx(4, abs=0.02)
    assert gain.low < 0 < gain.high


def test_many_trials_make_it_sure() -> None:
    gain = gains(pairs(*[(1, 0), (1, 1)] * 40))["a"]["math"]["think"]

    assert 0.2 < gain.low < gain.gain == pytest.approx(0.49, abs=0.02)


def test_requests_that_were_asked_in_different_ways_are_compared_by_their_means() -> None:
    plainly = [Trial("a", "math", "plain", float(n % 2)) for n in range(200)]
    thinking = [Trial("a", "math", "think", 1.0) for _ in range(200)]

    gain = gains([trial for both in zip(plainly, thinking, strict=True) for trial in both])["a"]["math"]["think"]

    assert gain.gain == pytest.approx(0.5, abs=0.02)
    assert gain.low > 0.3


def test_without_anything_to_compare_with_nothing_is_said() -> None:
    assert gains([Trial("a", "math", "think", 1.0)] * 50) == {}


def test_backends_types_and_patterns_are_learned_apart() -> None:
    found = gains([*pairs((1, 0)), *pairs((0, 1), backend="b"), *pairs((0, 1), pattern="other")])

    assert found["a"]["math"]["think"].gain > 0 > found["b"]["math"]["think"].gain
    assert found["a"]["math"]["other"].gain < 0


def test_when_the_world_changes_the_new_prevails() -> None:
    was_good_is_bad = pairs(*[(0, 1)] * 700, *[(1, 0)] * 1400)

    assert gains(was_good_is_bad)["a"]["math"]["think"].high < 0.3


def test_trials_of_others_make_none_older() -> None:
    others = [trial for number in range(50) for trial in pairs(*[(1, 0)] * 20, backend=f"other-{number}")]

    alone, among = gains(pairs(*[(1, 0)] * 20)), gains([*others, *pairs(*[(1, 0)] * 20)])

    assert alone["a"] == among["a"]


def test_looking_often_does_not_make_chance_look_like_gain() -> None:
    rng = random.Random(3)
    fooled = 0
    for _ in range(200):
        newest_first: list[Trial] = []
        for _ in range(60):
            newest_first = [*pairs((rng.randint(0, 1), rng.randint(0, 1))), *newest_first]
            if gains(newest_first)["a"]["math"]["think"].low > 0.0:
                fooled += 1
                break

    assert fooled <= 10  # 5 % of 200


def test_the_reach_of_an_interval() -> None:
    assert reach_of(10) == pytest.approx(math.sqrt(1.5 * math.log(15 / 0.05)))


def test_the_report_says_what_is_safe() -> None:
    told = gains_json(gains(pairs(*[(1, 0)] * 40)), 0.02)["a"]["math"]["think"]

    assert told["safe"] is True
    assert told.keys() == {"gain", "low", "high", "trials", "safe"}
