"""How long may a stream stay silent?"""

import asyncio
from types import TracebackType
from typing import Any

from actors.protocol.clock import Clock
from actors.protocol.errors import BackendTimeout


class Patience:
    """Limits the waits for a stream: first by `ttft_timeout_s`, then as `renew` says.

    It is the scope of each wait, which ends in `BackendTimeout` when the silence, or the whole request, has lasted too
    long; `close` it in the end. Only the time that we wait counts, not what the stream's reader takes in between. One
    timer per stream looks whether the wait under way has lasted too long when it first could have: setting and
    clearing one for each wait would cost more than reading an event.
    """

    __slots__ = (
        "_backend",
        "_cancelling",
        "_clock",
        "_ends_s",
        "_expires_s",
        "_has_expired",
        "_left_s",
        "_limit_s",
        "_loop",
        "_said",
        "_since_s",
        "_task",
        "_timer",
        "_timer_s",
    )

    def __init__(self, backend: str, ttft_timeout_s: float, time_left_s: float, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._ends_s = clock.monotonic_s() + time_left_s
        self._limit_s = self._left_s = ttft_timeout_s
        self._said = "gave no first token within"
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None  # the one that waits now
        self._cancelling = 0
        self._since_s = self._expires_s = self._timer_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._has_expired = False

    def renew(self, stall_timeout_s: float) -> None:
        """To be called when something of the answer has come: from now on the next silence is measured."""
        self._limit_s = self._left_s = stall_timeout_s
        self._said = "stopped in the middle of its answer for"

    def close(self) -> None:
        """To be called when nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait with patience")
        self._cancelling = task.cancelling()
        self._since_s = now_s = self._clock.monotonic_s()
        self._expires_s = min(now_s + self._left_s, self._ends_s)
        if self._timer is None or self._expires_s < self._timer_s:
            self._set_timer(now_s)

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        task, self._task = self._task, None
        self._left_s -= self._clock.monotonic_s() - self._since_s
        if not self._has_expired or task is None or not isinstance(error, asyncio.CancelledError):
            return
        if task.uncancel() <= self._cancelling:  # nobody else has cancelled it as well
            raise self._timeout() from None

    def _set_timer(self, now_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = self._expires_s
        self._timer = self._loop.call_later(max(0.0, self._timer_s - now_s), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None or self._has_expired:
            return  # nobody waits: the next wait sets the timer
        if self._expires_s > self._timer_s:
            self._set_timer(self._clock.monotonic_s())
        else:
            self._has_expired = True
            self._task.cancel()

    def _timeout(self) -> BackendTimeout:
        said = f"{self._said} {self._limit_s:.4g} s"
        if self._clock.monotonic_s() >= self._ends_s:
            said = "had not finished when the request's time was over"
        return BackendTimeout(f"'{self._backend}' {said}.", self._backend)
