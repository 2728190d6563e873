"""How long did things take? A mergeable histogram of milliseconds with a bounded relative error."""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from math import ceil, log
from typing import Final

RELATIVE_ERROR_01: Final = 0.02
SHORTEST_MS: Final = 1e-3  # what is shorter than a microsecond is counted as one
LONGEST_MS: Final = 1e7  # nearly three hours; what takes longer is counted as that, but `max_ms` is exact

_GAMMA: Final = (1 + RELATIVE_ERROR_01) / (1 - RELATIVE_ERROR_01)
_PER_LOG: Final = 1 / log(_GAMMA)
_LOWEST: Final = ceil(log(SHORTEST_MS) * _PER_LOG)
_HIGHEST: Final = ceil(log(LONGEST_MS) * _PER_LOG)
MAX_BUCKETS: Final = _HIGHEST - _LOWEST + 1


class Histogram:
    """Counts per bucket, where bucket i holds the durations in (gamma^(i-1), gamma^i] ms.

    Any quantile is within `RELATIVE_ERROR_01` of the exact one for durations between `SHORTEST_MS` and `LONGEST_MS`;
    count, sum, minimum and maximum are exact. Merging loses nothing. At most `MAX_BUCKETS` buckets are held.
    Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, sections 2.1 and 2.2.
    """

    __slots__ = ("_counts", "_first", "count", "max_ms", "min_ms", "sum_ms")

    def __init__(self) -> None:
        self.count = 0
        self.sum_ms = 0.0
        self.min_ms: float | None = None
        self.max_ms: float | None = None
        self._first = 0  # the bucket that the first of the counts is of
        self._counts = array("Q")  # of each bucket up to the highest that was needed: a quarter of a dict's memory

    def record(self, duration_ms: float) -> None:
        """Counts one duration. Raises `ValueError` unless it is finite and at least 0."""
        if not 0.0 <= duration_ms < math.inf:
            raise ValueError(f"a duration must be finite and not negative, not {duration_ms}")
        self.count += 1
        self.sum_ms += duration_ms
        if self.min_ms is None or duration_ms < self.min_ms:
            self.min_ms = duration_ms
        if self.max_ms is None or duration_ms > self.max_ms:
            self.max_ms = duration_ms
        bucket = _bucket_of(duration_ms)
        self._reach(bucket, bucket)
        self._counts[bucket - self._first] += 1

    def record_all(self, durations_ms: Sequence[float]) -> None:
        """Counts many durations, for a third of what it costs one by one. Raises `ValueError` as `record` does."""
        if not durations_ms:
            return
        low, high, whole = min(durations_ms), max(durations_ms), sum(durations_ms)
        if not (low >= 0.0 and whole < math.inf):  # neither holds with a NaN among them
            raise ValueError(f"durations must be finite and not negative, not {low} to {high}")
        self.count += len(durations_ms)
        self.sum_ms += whole
        self.min_ms = low if self.min_ms is None else min(self.min_ms, low)
        self.max_ms = high if self.max_ms is None else max(self.max_ms, high)
        if low > SHORTEST_MS and high < LONGEST_MS:
            numbers = [ceil(log(duration_ms) * _PER_LOG) for duration_ms in durations_ms]
        else:
            numbers = list(map(_bucket_of, durations_ms))
        self._add(Counter(numbers).items())

    def merge(self, other: "Histogram") -> None:
        """Adds all that the other one counted."""
        if other.min_ms is None or other.max_ms is None:
            return
        self.count += other.count
        self.sum_ms += other.sum_ms
        self.min_ms = other.min_ms if self.min_ms is None else min(self.min_ms, other.min_ms)
        self.max_ms = other.max_ms if self.max_ms is None else max(self.max_ms, other.max_ms)
        self._add(other.buckets())

    @classmethod
    def merged(cls, parts: Iterable["Histogram"]) -> "Histogram":
        """A new histogram of everything in the parts."""
        whole = cls()
        for part in parts:
            whole.merge(part)
        return whole

    @classmethod
    def of(
        cls,
        count: int,
        sum_ms: float,
        min_ms: float | None,
        max_ms: float | None,
        buckets: Iterable[tuple[int, int]],
    ) -> "Histogram":
        """A histogram as another one was: its figures, and its `buckets()`."""
        made = cls()
        made.count, made.sum_ms, made.min_ms, made.max_ms = count, sum_ms, min_ms, max_ms
        made._add(list(buckets))
        return made

    def buckets(self) -> Collection[tuple[int, int]]:
        """Number and count of each bucket that something is in, in ascending order."""
        return [(bucket, count) for bucket, count in enumerate(self._counts, self._first) if count]

    def _add(self, buckets: Collection[tuple[int, int]]) -> None:
        if not buckets:
            return
        numbers = [bucket for bucket, _ in buckets]
        self._reach(min(numbers), max(numbers))
        counts, first = self._counts, self._first
        for bucket, count in buckets:
            counts[bucket - first] += count

    def _reach(self, low: int, high: int) -> None:
        """Makes room for the counts of these buckets and all between."""
        if not self._counts:
            self._first = low
        if low < self._first:
            self._counts = array("Q", bytes(8 * (self._first - low))) + self._counts
            self._first = low
        missing = high - self._first - len(self._counts) + 1
        if missing > 0:
            self._counts.frombytes(bytes(8 * missing))

    def counts_up_to(self, bounds_ms: Sequence[float]) -> list[int]:
        """For each of the ascending bounds, how many durations are at most that; each bound is off by the error."""
        counts = [0] * len(bounds_ms)
        for bucket, count in self.buckets():
            place = bisect_left(bounds_ms, _middle_of(bucket))
            if place < len(counts):
                counts[place] += count
        return list(accumulate(counts))

    @property
    def mean_ms(self) -> float | None:
        """The exact mean, `None` when nothing was recorded."""
        return self.sum_ms / self.count if self.count else None

    def quantile(self, share_01: float) -> float | None:
        """The duration in ms that `share_01` of all stay at or below; `None` when nothing was recorded.

        It is the nearest rank: the element number ceil(share_01 * count) in ascending order, as load generators
        report it. Raises `ValueError` for a share outside 0..1.
        """
        if not 0.0 <= share_01 <= 1.0:
            raise ValueError(f"a share must be within 0..1, not {share_01}")
        if self.min_ms is None or self.max_ms is None:
            return None
        rank = max(0, ceil(share_01 * self.count) - 1)
        passed = 0
        for bucket, count in enumerate(self._counts, self._first):
            passed += count
            if passed > rank:
                return min(self.max_ms, max(self.min_ms, _middle_of(bucket)))
        return self.max_ms


def _bucket_of(duration_ms: float) -> int:
    if duration_ms <= SHORTEST_MS:
        return _LOWEST
    if duration_ms >= LONGEST_MS:
        return _HIGHEST
    return ceil(log(duration_ms) * _PER_LOG)


def _middle_of(bucket: int) -> float:
    """The value whose relative distance to both ends of the bucket is the same."""
    return float(2 * _GAMMA**bucket / (_GAMMA + 1))
