"""May this be tried again, when, and out of whose budget?"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from actors.protocol.clock import Deadline
from actors.protocol.errors import BackendTimeout, LLMError
from actors.resilience.backoff import Backoff

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]


class AttemptBudget:
    """How many upstream calls one request may still cause, shared by its retries, failovers and members.

    `kept`: how many of them retries leave alone, since so many members have not been asked even once.
    """

    __slots__ = ("_left", "kept")

    def __init__(self, attempts: int) -> None:
        if attempts < 0:
            raise ValueError(f"a budget cannot begin below 0, not at {attempts}")
        self._left = attempts
        self.kept = 0

    @property
    def left(self) -> int:
        return self._left

    def take(self) -> bool:
        """Spends one attempt; false, and nothing spent, when none is left."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def take_again(self) -> bool:
        """Spends one attempt on somebody who has been asked before; false when none is left beyond those kept."""
        return self._left > self.kept and self.take()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `max_retries` tries after the first one, with `backoff` between them.

    A backend that asks for more than `longest_wait_s` is not waited for here: somebody else may answer sooner.
    """

    max_retries: int = 2
    backoff: Backoff = field(default_factory=Backoff)
    longest_wait_s: float = inf

    def wait_s(self, error: LLMError, failures: int, time_left_s: float, rng: random.Random) -> float | None:
        """Seconds to wait before the next try, `None` if there should be none.

        There is none for an error that trying again cannot mend, for a silent backend (it would be silent again, and
        its time is better spent elsewhere), beyond `max_retries`, and when the wait is longer than `longest_wait_s` or
        would use up the time that is left.
        `failures`: tries that have failed, this one included.
        """
        if not error.retryable or isinstance(error, BackendTimeout) or failures > self.max_retries:
            return None
        if error.retry_after_s is not None and error.retry_after_s > self.longest_wait_s:
            return None
        delay_s = self.backoff.delay_s(failures, rng, error.retry_after_s)
        return delay_s if delay_s < time_left_s else None


async def retry_with_backoff(
    operation: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    deadline: Deadline,
    rng: random.Random,
    sleep: Sleep = asyncio.sleep,
) -> T:
    """The result of the first try that succeeds; otherwise raises the last try's error.

    Only errors of the `LLMError` tree are retried; others pass at once.
    """
    failures = 0
    while True:
        try:
            return await operation()
        except LLMError as error:
            failures += 1
            delay_s = policy.wait_s(error, failures, deadline.time_left_s(), rng)
            if delay_s is None:
                raise
        await sleep(delay_s)
