"""What time is it, and how much of it is left? The only module that reads a clock."""

import time
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """A source of time; tests pass a manual one."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    def wall_s(self) -> float:
        """Seconds since the Unix epoch, for records that people read."""
        ...


class SystemClock:
    """The machine's own clocks, without a step in between: a request looks at them a dozen times."""

    monotonic_s = staticmethod(time.perf_counter)
    wall_s = staticmethod(time.time)


SYSTEM_CLOCK = SystemClock()


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told to, for tests."""

    now_s: float = 0.0
    epoch_s: float = 1_700_000_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.epoch_s + self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which an answer is of no use. Crosses processes as `time_left_s`, never as a reading."""

    ends_at_s: float
    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @classmethod
    def after(cls, seconds: float, clock: Clock = SYSTEM_CLOCK) -> "Deadline":
        return cls(clock.monotonic_s() + seconds, clock)

    def time_left_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.ends_at_s - self.clock.monotonic_s())

    def sooner(self, seconds: float) -> "Deadline":
        """This deadline, or one `seconds` from now if that is earlier."""
        return Deadline(min(self.ends_at_s, self.clock.monotonic_s() + seconds), self.clock)
