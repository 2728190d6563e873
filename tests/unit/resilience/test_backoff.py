"""Are the waits as long as they should be?"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.resilience.backoff import Backoff

BACKOFF = Backoff(base_s=0.5, cap_s=3.0)


def test_the_ceiling_doubles_up_to_its_cap() -> None:
    assert [BACKOFF.ceiling_s(failures) for failures in (1, 2, 3, 4, 10_000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(min_value=1, max_value=50), st.integers())
def test_a_delay_lies_between_nothing_and_the_ceiling(failures: int, seed: int) -> None:
    assert 0.0 <= BACKOFF.delay_s(failures, random.Random(seed)) <= BACKOFF.ceiling_s(failures)


def test_delays_are_spread_over_the_whole_range() -> None:
    rng = random.Random(7)

    delays = [BACKOFF.delay_s(2, rng) for _ in range(1000)]

    assert min(delays) < 0.1
    assert max(delays) > 0.9


def test_a_backends_own_wish_is_honoured_whole_even_above_the_cap() -> None:
    delays = [BACKOFF.delay_s(1, random.Random(seed), retry_after_s=20.0) for seed in range(100)]

    assert 20.0 <= min(delays) < max(delays) <= 20.5


@pytest.mark.parametrize(("base_s", "cap_s"), [(0.0, 1.0), (2.0, 1.0)])
def test_an_impossible_backoff_is_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="base_s"):
        Backoff(base_s, cap_s)
