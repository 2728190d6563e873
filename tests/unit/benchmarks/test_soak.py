"""The soak's verdict: what counts as an error, as growth, and as too little to tell."""

from collections.abc import Callable

from benchmarks.rig import Load
from benchmarks.soak import Sample, Verdict, judged

MINUTE_S = 60.0


def samples(
    mb: Callable[[float], float] = lambda _: 900.0, ms: Callable[[float], float] = lambda _: 2.0, refused: int = 0
) -> list[Sample]:
    """Fifteen minutes, a sample a minute; memory and latency as functions of the hours since the start."""
    return [
        Sample(n * MINUTE_S, load(ms(n / 60.0), refused if n == 7 else 0), {"Router": mb(n / 60.0)}) for n in range(15)
    ]


def load(ms: float, refused: int) -> Load:
    return Load(5_000, 5.0, p50_ms=ms, p95_ms=2 * ms, p99_ms=3 * ms, max_ms=4 * ms, refused=refused, broken=0)


def verdicts(of: list[Sample]) -> dict[str, Verdict]:
    return {one.question: one for one in judged(of, 1_000.0, 3 * MINUTE_S, bound_mb_per_hour=20.0, bound_01=0.1)}


def test_what_stays_holds() -> None:
    assert all(one.holds for one in verdicts(samples()).values())


def test_a_single_refusal_is_an_error() -> None:
    assert verdicts(samples(refused=1))["no error"].holds is False


def test_memory_that_grows_faster_than_allowed_fails() -> None:
    assert verdicts(samples(mb=lambda hours: 900 + 19 * hours))["memory stays"].holds is True
    assert verdicts(samples(mb=lambda hours: 900 + 21 * hours))["memory stays"].holds is False


def test_what_grows_before_the_settling_is_not_looked_at() -> None:
    settled_hours = 3 / 60

    def filling(hours: float) -> float:
        return 900 if hours > settled_hours else 500

    assert verdicts(samples(mb=filling))["memory stays"].holds is True


def test_latency_that_grows_by_more_than_a_tenth_fails() -> None:
    # Eleven minutes are looked at, in which 2 ms become 2.02 or 2.3 ms.
    assert verdicts(samples(ms=lambda hours: 2 + 0.1 * hours))["p50_ms stays"].holds is True
    assert verdicts(samples(ms=lambda hours: 2 + 1.6 * hours))["p50_ms stays"].holds is False


def test_too_few_samples_tell_nothing() -> None:
    few = verdicts(samples()[:5])

    assert (few["no error"].holds, few["memory stays"].holds, few["p99_ms stays"].holds) == (True, None, None)


def test_a_rate_that_was_not_kept_is_said() -> None:
    slow = [*samples()[:14], Sample(14 * MINUTE_S, Load(4_000, 5.0, 2, 4, 6, 8, 0, 0), {"Router": 900.0})]

    assert "the rate was kept in 14 of 15 samples" in verdicts(slow)["no error"].finding
