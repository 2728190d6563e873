"""How long may a stream stay silent?"""

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, TypeVar

from actors.protocol.clock import Clock, Deadline
from actors.protocol.errors import BackendTimeout

T = TypeVar("T")


class Patience:
    """A scope in which waits for a stream are limited: first by `ttft_timeout_s`, then as `renew` says.

    Only the time that we wait counts, not what the stream's reader takes in between; the request's time left limits
    all of it. One timer per stream looks whether the wait under way has lasted too long when it first could have:
    setting and clearing one for each wait would cost more than reading an event.
    """

    __slots__ = (
        "_backend",
        "_cancelling",
        "_clock",
        "_deadline",
        "_expires_s",
        "_has_expired",
        "_left_s",
        "_limit_s",
        "_loop",
        "_said",
        "_task",
        "_timer",
        "_timer_s",
    )

    def __init__(self, backend: str, ttft_timeout_s: float, time_left_s: float, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._deadline = Deadline.after(time_left_s, clock)
        self._limit_s = self._left_s = ttft_timeout_s
        self._said = "gave no first token within"
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None  # the one that waits now
        self._cancelling = 0
        self._expires_s = self._timer_s = 0.0  # on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._has_expired = False

    def renew(self, stall_timeout_s: float) -> None:
        """To be called when something of the answer has come: from now on the next silence is measured."""
        self._limit_s = self._left_s = stall_timeout_s
        self._said = "stopped in the middle of its answer for"

    async def wait_for(self, step: Awaitable[T]) -> T:
        """What `step` gives. Raises `BackendTimeout` when the silence, or the whole request, has lasted too long."""
        began_s = self._clock.monotonic_s()
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait with patience")
        self._cancelling = task.cancelling()
        self._expires_s = self._loop.time() + min(self._left_s, self._deadline.time_left_s())
        if self._timer is None or self._expires_s < self._timer_s:
            self._set_timer()
        try:
            return await step
        except asyncio.CancelledError:
            if self._has_expired and task.uncancel() <= self._cancelling:
                raise self._timeout() from None
            raise
        finally:
            self._task = None
            self._left_s -= self._clock.monotonic_s() - began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = self._expires_s
        self._timer = self._loop.call_at(self._timer_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None or self._has_expired:
            return  # nobody waits: the next wait sets the timer
        if self._expires_s > self._timer_s:
            self._set_timer()
        else:
            self._has_expired = True
            self._task.cancel()

    def _timeout(self) -> BackendTimeout:
        said = f"{self._said} {self._limit_s:.4g} s"
        if self._deadline.time_left_s() <= 0:
            said = "had not finished when the request's time was over"
        return BackendTimeout(f"'{self._backend}' {said}.", self._backend)
