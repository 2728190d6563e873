"""Is a backend failing so much that asking it does harm?"""

from collections import deque
from dataclasses import dataclass

from actors.protocol.clock import Clock

NO_FAULT = frozenset(
    {
        "ok",
        "request_refused",
        "context_length_exceeded",
        "content_filter",
        "rate_limit_exceeded",
        "overloaded",
        "attempts_exhausted",
        "deadline_exceeded",
        "internal_error",
    }
)
"""Outcomes that a healthy backend has too: the caller's mistakes, its rate, our own limits."""
CERTAIN = frozenset({"upstream_key_refused"})
"""Outcomes after which asking again is pointless until somebody has mended it."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after `failures` within `window_s` seconds, if they are at least `share_01` of the calls.

    It then lets one call through after `pause_s`, and, while those fail, after twice as long each time, up to
    `longest_pause_s`.
    """

    failures: int = 5
    share_01: float = 0.5
    window_s: float = 30.0
    pause_s: float = 1.0
    longest_pause_s: float = 5.0


class Breaker:
    """One backend's circuit breaker, as one process sees it: closed, open, or half open for a single call.

    Source: Nygard 2007, "Release It!", section 5.2.
    """

    __slots__ = ("_calls", "_clock", "_opened", "_policy", "_since_s", "is_open", "is_trying")

    def __init__(self, policy: BreakerPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._calls: deque[tuple[float, bool]] = deque()
        self._opened = 0  # times in a row
        self._since_s = 0.0
        self.is_open = False
        self.is_trying = False  # the single call is under way

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is held against the backend."""
        self._forget()
        return not self.is_open and not any(failed for _, failed in self._calls)

    @property
    def pause_s(self) -> float:
        """How long an open one lets nobody through."""
        return min(self._policy.longest_pause_s, self._policy.pause_s * 2.0 ** max(0, self._opened - 1))

    @property
    def is_half_open(self) -> bool:
        """Whether a call may try."""
        return self.is_open and not self.is_trying and self.pause_left_s <= 0

    @property
    def pause_left_s(self) -> float:
        """Seconds until a call may try; 0 or less once one may."""
        return self._since_s + self.pause_s - self._clock.monotonic_s()

    def note(self, outcome: str) -> bool:
        """Takes note of how a call ended; true if the breaker opened or closed by it."""
        if outcome == "cancelled":
            self.is_trying = False
            return False
        failed = outcome not in NO_FAULT
        if self.is_open:
            return self._tried(failed) if self.is_trying else False
        self._calls.append((self._clock.monotonic_s(), failed))
        self._forget()
        failures = sum(failed for _, failed in self._calls)
        policy = self._policy
        if outcome in CERTAIN or (failures >= policy.failures and failures >= policy.share_01 * len(self._calls)):
            self._open()
            return True
        return False

    def _tried(self, failed: bool) -> bool:
        self.is_trying = False
        if failed:
            self._open()
            return True
        self.is_open = False
        self._opened = 0
        self._calls.clear()
        return True

    def _open(self) -> None:
        self.is_open = True
        self._opened += 1
        self._since_s = self._clock.monotonic_s()

    def _forget(self) -> None:
        oldest_s = self._clock.monotonic_s() - self._policy.window_s
        while self._calls and self._calls[0][0] < oldest_s:
            self._calls.popleft()


class BreakersOfRecord:
    """Which backends are shut for everybody, because one process says so; that one alone tries whether they are back.

    Until the one that holds a breaker says that it is closed, or is gone, no other opens or closes it.
    """

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    @property
    def holders(self) -> dict[str, str]:
        """The backends that are shut, and who tries each."""
        return dict(self._holders)

    def hear(self, process: str, shut: frozenset[str]) -> None:
        """What a process says of its own breakers."""
        for backend in shut:
            self._holders.setdefault(backend, process)
        for backend, holder in self.holders.items():
            if holder == process and backend not in shut:
                del self._holders[backend]

    def forget(self, gone: str) -> None:
        """Strikes out a process that has ended, with what it held."""
        self.hear(gone, frozenset())
