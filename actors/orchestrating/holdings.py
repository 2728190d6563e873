"""How much of each backend may this replica use now, and when must it ask again?"""

import math
from collections.abc import Callable, Iterable, Iterator

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.resilience.limits import Gate
from actors.resilience.rates import Bucket, Rates
from actors.routing.shares import Allowance, Grant, Renewal, static_share
from actors.routing.table import BackendRecord

QUEUE_PER_PERMIT = 4
UNEVENNESS = 1.5  # a replica may get so many times its part of the callers, who are not spread by what they wait for
AGES_AFTER_S = 3.0  # less than the book's patience (routing/book.py), and counted from the sending of a renewal
URGENT_AFTER_S = 0.1  # since the last renewal, for a backend whose calls begin to queue
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 5.0
SHORTEST_STRETCH_S = 0.001
RATE_MEMORY_S = 0.5  # how long a burst counts as demand for a rate


class Demand:
    """How many units a minute were lately asked of a bucket: an average that forgets within `RATE_MEMORY_S`.

    It never exceeds `limit_per_min`: callers who are refused and ask again at once would not be forgotten for long.
    """

    __slots__ = ("_bucket", "_limit_per_min", "_per_min")

    def __init__(self, bucket: Bucket, limit_per_min: float) -> None:
        self._bucket = bucket
        self._limit_per_min = limit_per_min
        self._per_min = 0.0

    def per_min(self, elapsed_s: float, waiting: float) -> float:
        """To be read once for each stretch of time; `waiting` units wait now.

        Callers who wait for their answers ask for no more than they get: those in the queue tell that they want more.
        A debt is demand as well: its share must stay until it is paid.
        """
        elapsed_s = max(elapsed_s, SHORTEST_STRETCH_S)
        new_01 = -math.expm1(-elapsed_s / RATE_MEMORY_S)
        asked, self._bucket.asked = self._bucket.asked, 0.0
        per_min = self._per_min + new_01 * (asked * 60 / elapsed_s - self._per_min)
        self._per_min = min(self._limit_per_min, per_min)
        wanted_per_min = max(self._per_min + waiting * 60 / RATE_MEMORY_S, self._bucket.owed_per_min())
        return min(self._limit_per_min, wanted_per_min)


class Holding:
    """This replica's share of one backend, and the gate that keeps calls to it.

    Until the first renewal it holds an equal part of the limit. A share that was not renewed for `AGES_AFTER_S` falls
    back to that part, but never below one call if the backend's actor cannot be reached at all.
    """

    def __init__(
        self, backend: str, holder: str, limit: Allowance, replicas: int, clock: Clock, rouse: Callable[[], None]
    ) -> None:
        self.backend = backend
        self._holder = holder
        self._limit = limit
        self._static = static_share(limit, replicas)
        self._share = self._static
        self._clock = clock
        self._rouse = rouse
        now_s = clock.monotonic_s()
        self._renewed_s = self._asked_s = now_s
        self._due_s = now_s
        self._failures = 0
        self._is_asking = self._is_urgent = self._is_known_to_queue = False
        limits_rates = limit.requests_per_min is not None or limit.tokens_per_min is not None
        rates = Rates(self._static.requests_per_min, self._static.tokens_per_min, clock) if limits_rates else None
        queue = QUEUE_PER_PERMIT * limit.concurrency
        self.gate = Gate(backend, self._static.concurrency, queue, rates=rates, on_queueing=self._on_queueing)
        self.gate.is_settled = replicas == 1
        self._request_demand = _demand(rates.requests if rates else None, limit.requests_per_min)
        self._token_demand = _demand(rates.tokens if rates else None, limit.tokens_per_min)

    @property
    def share(self) -> Allowance:
        """What it keeps to now."""
        return self._share

    def due_in_s(self) -> float:
        """Seconds until it should ask; 0 if it should now, infinite while it waits for an answer."""
        if self._is_asking:
            return math.inf
        due_s = self._due_s
        if self._is_urgent and not self._failures:
            due_s = min(due_s, self._asked_s + URGENT_AFTER_S)
        return max(0.0, due_s - self._clock.monotonic_s())

    def renewal(self) -> Renewal:
        """What to ask for now. Each must be followed by `accept` or `miss`."""
        now_s, gate = self._clock.monotonic_s(), self.gate
        elapsed_s, self._asked_s = now_s - self._asked_s, now_s
        peak, gate.peak = gate.peak, gate.in_flight + gate.queued
        self._is_asking, self._is_urgent = True, False
        self._is_known_to_queue = peak > gate.permits or gate.queued > 0
        wanted = Allowance(
            peak,
            None if self._request_demand is None else self._request_demand.per_min(elapsed_s, gate.queued),
            None if self._token_demand is None else self._token_demand.per_min(elapsed_s, gate.queued_tokens),
        )
        return Renewal(self._holder, self._share, gate.in_flight, wanted)

    def accept(self, grant: Grant) -> None:
        """Keeps to the share that was granted."""
        self._is_asking, self._failures = False, 0
        self._renewed_s = self._asked_s
        self._due_s = self._clock.monotonic_s() + grant.renew_in_s
        has_all = grant.is_final and (self._is_known_to_queue or grant.share == self._limit)
        self._keep_to(grant.share, is_settled=has_all)

    def miss(self) -> None:
        """The actor did not answer: asks again later, and less and less often."""
        self._is_asking = False
        pause_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**self._failures)
        self._failures += 1
        self._due_s = self._clock.monotonic_s() + pause_s

    def age(self) -> None:
        """To be called about once a second: lets a share that was not renewed fall back."""
        if self._clock.monotonic_s() - self._renewed_s < AGES_AFTER_S:
            return
        aged = _smaller(self._share, self._static)
        if self._failures and not aged.concurrency:
            aged = Allowance(1, aged.requests_per_min, aged.tokens_per_min)
        if aged != self._share:
            self._keep_to(aged, is_settled=False)

    def _keep_to(self, share: Allowance, is_settled: bool) -> None:
        self._share = share
        gate, rates = self.gate, self.gate.rates
        gate.is_settled = is_settled
        # Where more may come, as many may wait as for the whole limit.
        part = UNEVENNESS * max(share.concurrency, self._static.concurrency, 1)
        permits = min(self._limit.concurrency, part) if is_settled else self._limit.concurrency
        gate.queue = round(QUEUE_PER_PERMIT * permits)
        if rates is not None and rates.requests is not None and share.requests_per_min is not None:
            rates.requests.resize(share.requests_per_min)
        if rates is not None and rates.tokens is not None and share.tokens_per_min is not None:
            rates.tokens.resize(share.tokens_per_min)
        gate.resize(share.concurrency)

    def _on_queueing(self) -> None:
        """Asks at once when calls begin to wait, unless the book knows that they do, or has no more to give."""
        if not self._is_urgent and not self._is_known_to_queue and self._share != self._limit:
            self._is_urgent = True
            self._rouse()


class Holdings:
    """What one of `replicas` replicas holds. `on_urgent` is called when a backend should not wait for its renewal."""

    def __init__(self, holder: str, replicas: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._holder = holder
        self._replicas = replicas
        self._clock = clock
        self._held: dict[str, Holding] = {}
        self.on_urgent: Callable[[], None] = lambda: None

    def gate(self, backend: BackendRecord) -> Gate:
        """The gate of a backend; one that is not known yet is taken up."""
        holding = self._held.get(backend.name)
        return (holding or self._take_up(backend)).gate

    def take_up(self, backends: Iterable[BackendRecord]) -> None:
        """Begins to hold shares of these backends, so that the others need keep nothing for this replica."""
        for backend in backends:
            if backend.name not in self._held:
                self._take_up(backend)

    def due(self) -> Iterator[Holding]:
        """Those that should ask for their share now."""
        return (holding for holding in list(self._held.values()) if holding.due_in_s() <= 0)

    def next_due_in_s(self, at_most_s: float) -> float:
        """Seconds until the next one should ask."""
        return min((holding.due_in_s() for holding in self._held.values()), default=at_most_s)

    def age(self) -> None:
        """To be called about once a second: lets shares that were not renewed fall back."""
        for holding in self._held.values():
            holding.age()

    def _take_up(self, backend: BackendRecord) -> Holding:
        limit = backend.limit
        made = Holding(backend.name, self._holder, limit, self._replicas, self._clock, lambda: self.on_urgent())
        self._held[backend.name] = made
        return made


def _smaller(one: Allowance, other: Allowance) -> Allowance:
    return Allowance(
        min(one.concurrency, other.concurrency),
        _smaller_rate(one.requests_per_min, other.requests_per_min),
        _smaller_rate(one.tokens_per_min, other.tokens_per_min),
    )


def _smaller_rate(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else min(one, other)


def _demand(bucket: Bucket | None, limit_per_min: float | None) -> Demand | None:
    return None if bucket is None or limit_per_min is None else Demand(bucket, limit_per_min)
