import math

from actors.tracing.histogram import Histogram
from actors.tracing.slowness import Slowness


def histogram(*durations_ms: float) -> Histogram:
    made = Histogram()
    for duration_ms in durations_ms:
        made.record(duration_ms)
    return made


def test_nothing_is_slow_until_enough_was_seen() -> None:
    slowness = Slowness()

    slowness.learn(histogram(*[1.0] * 999))

    assert slowness.above_ms == math.inf


def test_the_slowest_hundredth_is_slow() -> None:
    slowness = Slowness()

    slowness.learn(histogram(*[float(ms) for ms in range(1, 1_001)]))

    assert 990.0 <= slowness.above_ms <= 990.0 * 1.05


def test_where_all_take_about_the_same_none_is_slow() -> None:
    slowness = Slowness()

    slowness.learn(histogram(*[100.0] * 995, *[100.5] * 5))

    assert slowness.above_ms > 100.5


def test_what_is_usual_may_change() -> None:
    slowness = Slowness()
    slowness.learn(histogram(*[1_000.0] * 1_000))

    for _ in range(10):
        slowness.learn(histogram(*[10.0] * 100))

    assert slowness.above_ms < 11.0
