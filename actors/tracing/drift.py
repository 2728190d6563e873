"""Has what is measured changed, or is it only noise?"""

from dataclasses import dataclass
from typing import Final

TOLERATED: Final = 0.05
ALARM_AT: Final = 5.0
PER_VARIANCE: Final = 120.0  # of noise alone, a sum as high as this times the variance comes by chance exp(-12)
SETTLED_AFTER: Final = 30  # observations until a mean is one


@dataclass(frozen=True, slots=True)
class Change:
    """The mean moved: what it was before, and what it has been since the move began."""

    before: float
    after: float


class DriftDetector:
    """Watches the mean of numbers in 0..1, in both directions, one at a time and in constant memory.

    A change of the mean by less than `TOLERATED` is none. What goes beyond it is summed up, and is a change when the
    sum passes `ALARM_AT`, or more where the numbers vary much: of noise with variance v a walk that drifts back by d
    ever rises to h with probability exp(-2dh/v). After an alarm it begins anew.

    Source: the Page-Hinkley test, Page 1954, "Continuous inspection schemes", Biometrika 41; Gama et al. 2014, "A
    survey on concept drift adaptation", section 3.2; for the bound Siegmund 1985, "Sequential Analysis", chapter 2.
    """

    __slots__ = ("_above", "_below", "_count", "_mean", "_squares")

    def __init__(self) -> None:
        self._begin()

    def add(self, value: float) -> Change | None:
        """The change that this number makes certain, if it does."""
        self._count += 1
        was_away = value - self._mean
        self._mean += was_away / self._count
        away = value - self._mean
        self._squares += was_away * away
        if self._count <= SETTLED_AFTER:
            return None
        self._above.add(away - TOLERATED, value)
        self._below.add(-away - TOLERATED, value)
        alarm_at = max(ALARM_AT, PER_VARIANCE * self._squares / self._count)
        for excess in (self._above, self._below):
            if excess.sum > alarm_at:
                change = Change(self._before(excess), excess.values / excess.count)
                self._begin()
                return change
        return None

    def _before(self, excess: "_Excess") -> float:
        settled = self._count - excess.count
        return (self._mean * self._count - excess.values) / settled

    def _begin(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._above, self._below = _Excess(), _Excess()


class _Excess:
    """A sum that never falls below 0, and the numbers since it last was 0."""

    __slots__ = ("count", "sum", "values")

    def __init__(self) -> None:
        self.sum = 0.0
        self.count = 0
        self.values = 0.0

    def add(self, step: float, value: float) -> None:
        if self.sum + step <= 0:
            self.sum, self.count, self.values = 0.0, 0, 0.0
            return
        self.sum += step
        self.count += 1
        self.values += value
