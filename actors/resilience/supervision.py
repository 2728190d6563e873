"""Who is started anew when one process of a group has failed, when has it failed too often, and what was decided?

Source: the OTP design principles of Erlang, "Supervisor Behaviour".
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from actors.protocol.clock import Clock
from actors.protocol.messages import Ruling

log = logging.getLogger("troupe.supervisor")

RULINGS_KEPT: Final = 50

RestartStrategy = Literal["one_for_one", "rest_for_one", "one_for_all"]


def also_restarted(group: Sequence[str], failed: str, strategy: RestartStrategy) -> Sequence[str]:
    """The other members of a group, in the order in which they were started, that must be started anew with one.

    `one_for_one`: nobody else; `rest_for_one`: those that were started after it; `one_for_all`: everybody else.
    """
    if strategy == "one_for_one":
        return []
    if strategy == "rest_for_one":
        return group[group.index(failed) + 1 :]
    return [name for name in group if name != failed]


class RestartIntensity:
    """At most `max_restarts` within `window_s` seconds; more is the end of trying."""

    __slots__ = ("_max_restarts", "_restarted_s", "_window_s")

    def __init__(self, max_restarts: int, window_s: float) -> None:
        self._max_restarts = max_restarts
        self._window_s = window_s
        self._restarted_s: deque[float] = deque()

    @property
    def recent(self) -> int:
        """Restarts within the window before the last one."""
        return len(self._restarted_s)

    def note(self, now_s: float) -> bool:
        """Counts a restart at a reading of the caller's clock; false if it was one too many."""
        self._restarted_s.append(now_s)
        while now_s - self._restarted_s[0] > self._window_s:
            self._restarted_s.popleft()
        return len(self._restarted_s) <= self._max_restarts


class Chronicle:
    """The last decisions, each of which is also logged."""

    __slots__ = ("_clock", "_rulings")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rulings: deque[Ruling] = deque(maxlen=RULINGS_KEPT)

    @property
    def rulings(self) -> Sequence[Ruling]:
        """The newest first."""
        return list(reversed(self._rulings))

    def note(self, about: str, decision: str, reason: str, level: int = logging.WARNING) -> None:
        """Takes note of what was done about whom."""
        log.log(level, "%s: %s (%s)", about, decision, reason)
        self._rulings.append(Ruling(round(self._clock.wall_s(), 3), about, decision, reason))
