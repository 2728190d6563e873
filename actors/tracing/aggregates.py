"""How often, how long, how often in vain, at what price? Bounded sums over all that was measured."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, NamedTuple

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.columns import Column
from actors.protocol.messages import AttemptOutcome, Usage
from actors.tracing.histogram import Histogram

MAX_KEYS: Final = 256
MAX_CODES: Final = 64
OTHER: Final = "other"
WINDOWS_S: Final[Mapping[str, float]] = {"1m": 60.0, "10m": 600.0, "1h": 3600.0}
RINGS: Final = ((10.0, 6), (60.0, 60))  # seconds in a slice, slices: the last minute and the last hour


class Key(NamedTuple):
    """What is summed up together. `backend` is `None` for work that belongs to none."""

    component: str
    operation: str
    backend: str | None = None

    @property
    def sort_key(self) -> tuple[str, str, str]:
        return (self.component, self.operation, self.backend or "")


class Slice(NamedTuple):
    """A stretch of time that sums are kept of: `number` counts them since 1970, each `length_s` long."""

    length_s: float
    number: int

    @property
    def ends_s(self) -> float:
        return (self.number + 1) * self.length_s


@dataclass(slots=True)
class Tally:
    """Sums over all that happened under one key.

    `latency` holds successes only: a call that failed at once or was given up must not make its backend look fast.
    `timed_tokens` are the completion tokens of those successes whose tokens are known, and which took `timed_ms`.
    """

    count: int = 0
    cancelled: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    ttft: Histogram = field(default_factory=Histogram)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    timed_tokens: int = 0
    timed_ms: float = 0.0

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def error_rate_01(self) -> float:
        """The share of errors among what was not cancelled; 0 when there was nothing."""
        judged = self.count - self.cancelled
        return self.failed / judged if judged else 0.0

    def note(
        self,
        outcome: AttemptOutcome,
        duration_ms: float,
        ttft_ms: float | None = None,
        usage: Usage | None = None,
        cost_usd: float | None = None,
    ) -> None:
        """Counts one thing that happened."""
        self.count += 1
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if cost_usd is not None:
            self.cost_usd += cost_usd
        if outcome == "ok":
            self.latency.record(duration_ms)
            if usage is not None:
                self.timed_tokens += usage.completion_tokens
                self.timed_ms += duration_ms
            if ttft_ms is not None:
                self.ttft.record(ttft_ms)
        elif outcome == "cancelled":
            self.cancelled += 1
        else:
            self._add_error(outcome, 1)

    def note_all(
        self,
        outcomes: Column,
        durations_ms: Column,
        ttfts_ms: Column,
        prompt_tokens: Column,
        completion_tokens: Column,
        costs_usd: Column,
    ) -> None:
        """Counts many things that happened: of each its place in all columns, `None` for what is not known of it."""
        self.count += len(outcomes)
        self.prompt_tokens += sum(known(prompt_tokens))
        self.completion_tokens += sum(known(completion_tokens))
        self.cost_usd += sum(known(costs_usd))
        succeeded = [outcome == "ok" for outcome in outcomes]
        if not all(succeeded):
            for outcome, count in Counter(outcomes).items():
                if outcome == "cancelled":
                    self.cancelled += count
                elif outcome != "ok":
                    self._add_error(outcome, count)
            durations_ms, ttfts_ms, completion_tokens = (
                list(compress(column, succeeded)) for column in (durations_ms, ttfts_ms, completion_tokens)
            )
        self.latency.record_all(durations_ms)
        self.ttft.record_all(known(ttfts_ms))
        self.timed_tokens += sum(known(completion_tokens))
        self.timed_ms += sum(compress(durations_ms, [tokens is not None for tokens in completion_tokens]))

    def note_successes(self, durations_ms: Sequence[float]) -> None:
        """Counts things that went well, and of which no more is known."""
        self.count += len(durations_ms)
        self.latency.record_all(durations_ms)

    def merge(self, other: "Tally") -> None:
        """Adds all that the other one counted."""
        self.count += other.count
        self.cancelled += other.cancelled
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_usd += other.cost_usd
        self.timed_tokens += other.timed_tokens
        self.timed_ms += other.timed_ms
        self.latency.merge(other.latency)
        self.ttft.merge(other.ttft)
        for code, count in other.errors.items():
            self._add_error(code, count)

    def _add_error(self, code: str, count: int) -> None:
        if code not in self.errors and len(self.errors) >= MAX_CODES:
            code = OTHER
        self.errors[code] = self.errors.get(code, 0) + count


def known(column: Column) -> Column:
    """The values of a column that are not `None`."""
    return [value for value in column if value is not None] if None in column else column


class Ring:
    """Tallies per slice of time; slices older than `slices` are forgotten."""

    __slots__ = ("_by_slice", "slice_s", "slices")

    def __init__(self, slice_s: float, slices: int) -> None:
        self.slice_s = slice_s
        self.slices = slices
        self._by_slice: dict[int, Tally] = {}

    def at(self, moment_s: float) -> Tally:
        """The sums of the slice that a moment falls into."""
        return self.of(int(moment_s // self.slice_s))

    def of(self, number: int) -> Tally:
        """The sums of a slice."""
        tally = self._by_slice.get(number)
        if tally is None:
            self._forget_before(number - self.slices)
            tally = self._by_slice[number] = Tally()
        return tally

    def kept(self) -> Iterator[tuple[Slice, Tally]]:
        """Every slice with its sums."""
        for number, tally in self._by_slice.items():
            yield Slice(self.slice_s, number), tally

    def window(self, length_s: float, now_s: float) -> Tally:
        """The sum over the last `length_s` and what the oldest slice reaches beyond it (at most one slice)."""
        oldest = int(now_s // self.slice_s) - round(length_s / self.slice_s)
        whole = Tally()
        for index, tally in self._by_slice.items():
            if index >= oldest:
                whole.merge(tally)
        return whole

    def _forget_before(self, oldest: int) -> None:
        for index in [index for index in self._by_slice if index < oldest]:
            del self._by_slice[index]


class Series:
    """All that is remembered of one key: since the start and, if windowed, the last minute and the last hour."""

    __slots__ = ("_rings", "total")

    def __init__(self, windowed: bool) -> None:
        self.total = Tally()
        self._rings = tuple(Ring(*ring) for ring in RINGS) if windowed else ()

    def merge(self, tally: Tally, at_s: float) -> None:
        self.total.merge(tally)
        for ring in self._rings:
            ring.at(at_s).merge(tally)

    def restore(self, slice_: Slice, tally: Tally) -> None:
        """Adds sums from before to those of a slice, and not to the total."""
        for ring in self._rings:
            if ring.slice_s == slice_.length_s:
                ring.of(slice_.number).merge(tally)

    def slices(self) -> Iterator[tuple[Slice, Tally]]:
        """Every slice with its sums."""
        for ring in self._rings:
            yield from ring.kept()

    def window(self, length_s: float, now_s: float) -> Tally:
        """The last `length_s` seconds, from the finest ring that reaches back so far; empty if none does."""
        for ring in self._rings:
            if length_s <= ring.slice_s * ring.slices:
                return ring.window(length_s, now_s)
        return Tally()


class Aggregates:
    """One series per key, at most `max_keys` and one more, `other`, for whatever comes beyond them.

    Without `windowed` only the sums since the start are kept, at a quarter of the cost.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, max_keys: int = MAX_KEYS, *, windowed: bool = True) -> None:
        self._clock = clock
        self._1970_s = clock.wall_s() - clock.monotonic_s()  # slices have the same numbers in the next process
        self._max_keys = max_keys
        self._windowed = windowed
        self._series: dict[Key, Series] = {}
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._series)

    def add(
        self,
        key: Key,
        outcome: AttemptOutcome,
        duration_ms: float,
        ttft_ms: float | None = None,
        usage: Usage | None = None,
        cost_usd: float | None = None,
    ) -> None:
        """Counts one thing that happened, now. For many, `merge` what they add up to."""
        tally = Tally()
        tally.note(outcome, duration_ms, ttft_ms, usage, cost_usd)
        self.merge({key: tally})

    def merge(self, tallies: Mapping[Key, Tally], at_s: float | None = None) -> None:
        """Adds what was counted elsewhere, as if all of it had happened at that moment of `now_s`, or now."""
        at_s = self.now_s if at_s is None else at_s
        for key, tally in tallies.items():
            self._of(key, tally.count).merge(tally, at_s)

    @property
    def now_s(self) -> float:
        """Seconds since 1970 as they were at the start, and those that have passed: it never goes back."""
        return self._1970_s + self._clock.monotonic_s()

    def restore(self, key: Key, tally: Tally) -> None:
        """Adds sums from before to those since the start; windows stay as they are."""
        self._of(key, tally.count).total.merge(tally)

    def restore_slice(self, slice_: Slice, key: Key, tally: Tally) -> None:
        """Adds sums from before to those of a slice; those since the start stay as they are."""
        self._of(key, tally.count).restore(slice_, tally)

    def slices(self, since_s: float) -> dict[Slice, dict[Key, Tally]]:
        """The sums of every slice that had not ended at a moment of `now_s`."""
        found: dict[Slice, dict[Key, Tally]] = {}
        for key, series in self._series.items():
            for slice_, tally in series.slices():
                if slice_.ends_s > since_s:
                    found.setdefault(slice_, {})[key] = tally
        return found

    def totals(self) -> dict[Key, Tally]:
        """The sums since the start of every key."""
        return {key: series.total for key, series in self._series.items()}

    def keys(self) -> list[Key]:
        """Every key that was counted, in alphabetical order."""
        return sorted(self._series, key=lambda key: key.sort_key)

    def total(self, key: Key) -> Tally:
        """The sums since the start; empty for a key that was never counted."""
        series = self._series.get(key)
        return series.total if series else Tally()

    def window(self, key: Key, length_s: float) -> Tally:
        """The sums over the last `length_s` seconds (at most 3600) and up to a slice of 10 s or a minute more."""
        series = self._series.get(key)
        return series.window(length_s, self.now_s) if series else Tally()

    def windows(self, key: Key) -> Iterator[tuple[str, Tally]]:
        """Name and sums of each of `WINDOWS_S`."""
        for name, length_s in WINDOWS_S.items():
            yield name, self.window(key, length_s)

    def _of(self, key: Key, count: int) -> Series:
        series = self._series.get(key)
        if series is None and len(self._series) >= self._max_keys:
            self.overflowed += count
            key = Key(OTHER, OTHER)
            series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(self._windowed)
        return series
