"""Is tried again what may be, as often as may be?"""

import random
from collections.abc import Sequence

import pytest

from actors.protocol.clock import Deadline, ManualClock
from actors.protocol.errors import BackendTimeout, BackendUnavailable, LLMError, RateLimited, RequestRefused
from actors.resilience.backoff import Backoff
from actors.resilience.retry import AttemptBudget, RetryPolicy, retry_with_backoff

POLICY = RetryPolicy(max_retries=2, backoff=Backoff(base_s=1.0, cap_s=4.0))


class Script:
    """An operation that raises what it is given, one after another, and then succeeds; its clock moves while asleep."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.slept_s: list[float] = []
        self.clock = ManualClock()

    async def run(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock.advance(seconds)

    async def retried(self, deadline_s: float = 60.0) -> str:
        deadline = Deadline.after(deadline_s, self.clock)
        return await retry_with_backoff(self.run, POLICY, deadline, random.Random(1), self.sleep)


async def test_the_first_success_is_the_result() -> None:
    script = Script([BackendUnavailable("down"), BackendUnavailable("down")])

    assert await script.retried() == "done"
    assert script.calls == 3
    assert [0 <= slept_s <= ceiling_s for slept_s, ceiling_s in zip(script.slept_s, (1, 2), strict=True)] == [
        True,
        True,
    ]


async def test_after_the_last_retry_the_last_error_is_raised() -> None:
    script = Script([BackendUnavailable(text) for text in ("first", "second", "third", "fourth")])

    with pytest.raises(BackendUnavailable, match="third"):
        await script.retried()
    assert script.calls == 3


@pytest.mark.parametrize("error", [RequestRefused("no"), BackendTimeout("silent"), ValueError("a bug")])
async def test_what_another_try_cannot_mend_is_raised_at_once(error: Exception) -> None:
    script = Script([error])

    with pytest.raises(type(error)):
        await script.retried()
    assert (script.calls, script.slept_s) == (1, [])


async def test_a_backends_wish_is_waited_for_when_the_deadline_allows() -> None:
    script = Script([RateLimited("slow down", retry_after_s=10.0)])

    assert await script.retried(deadline_s=30.0) == "done"
    assert 10.0 <= script.slept_s[0] <= 11.0


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    script = Script([RateLimited("slow down", retry_after_s=10.0)])

    with pytest.raises(RateLimited):
        await script.retried(deadline_s=9.0)
    assert script.slept_s == []


def test_a_budget_is_spent_once_and_by_all_together() -> None:
    budget = AttemptBudget(2)

    assert [budget.take(), budget.take(), budget.take()] == [True, True, False]
    assert budget.left == 0


def test_a_budget_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        AttemptBudget(-1)


def test_the_policy_counts_retries_not_tries() -> None:
    error: LLMError = BackendUnavailable("down")
    rng = random.Random(1)

    assert POLICY.wait_s(error, 2, 60.0, rng) is not None
    assert POLICY.wait_s(error, 3, 60.0, rng) is None


def test_who_asks_for_a_longer_wait_than_the_longest_is_not_waited_for() -> None:
    policy = RetryPolicy(longest_wait_s=5.0)

    def wait_s(asked_s: float) -> float | None:
        return policy.wait_s(RateLimited("limited", retry_after_s=asked_s), 1, 60.0, random.Random(1))

    assert wait_s(5.1) is None
    assert 5.0 <= (wait_s(5.0) or 0) <= 5.2
