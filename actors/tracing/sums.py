"""What did the requests of one replica add up to since it last told the tracer?"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors.protocol.messages import DecisionRecord
from actors.tracing.aggregates import Key, Tally
from actors.tracing.bundle import Bundle
from actors.tracing.report import OVERHEAD, REQUEST, backend_key, queue_key
from actors.tracing.usage import ANONYMOUS, S_PER_DAY, Account, Consumption, day_of

SAMPLE_DIGITS: Final = 4  # of a request's random id, in base 16
SAMPLES: Final = 0x10000


@dataclass(slots=True)
class Batch:
    """What a replica tells at a time: sums over all requests, and the records of some of them.

    `number` counts a sender's batches from 1: one that comes again, since its acknowledgement was lost, is not counted
    again. `records` are those to look at at once, `bundles` those to be kept, of the same requests among others.
    `dropped`: records that nobody will see any more, though their requests are in the sums. `slow_above_ms`: what took
    longer is slow beside the sender's other requests.
    """

    sender: str
    number: int
    tallies: Mapping[Key, Tally] = field(default_factory=dict)
    accounts: Mapping[Account, Consumption] = field(default_factory=dict)
    records: Sequence[DecisionRecord] = ()
    bundles: Sequence[Bundle] = ()
    dropped: int = 0
    slow_above_ms: float = math.inf


class Sums:
    """Adds requests up, many at once: that costs a third."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._whole = Tally()
        self._own_part = Tally()
        self._calls: defaultdict[str, Tally] = defaultdict(Tally)  # by backend
        self._waits: defaultdict[str, Tally] = defaultdict(Tally)
        self._used: defaultdict[tuple[int, str, str | None], Consumption] = defaultdict(Consumption)

    def __bool__(self) -> bool:
        return self._whole.count > 0

    def add(self, requests: Sequence[DecisionRecord]) -> None:
        """Counts finished requests: each itself, our own part of its time, its upstream calls, and their waiting."""
        whole, own_part, calls, used = self._whole, self._own_part, self._calls, self._used
        for request in requests:
            whole.note(request.outcome, request.latency_ms, request.ttft_ms, request.usage, request.cost_usd)
            if request.outcome == "ok":
                own_part.note("ok", request.overhead_ms)
            for attempt in request.attempts:
                calls[attempt.backend].note(
                    attempt.outcome, attempt.latency_ms, attempt.ttft_ms, attempt.usage, attempt.cost_usd
                )
                if attempt.queued_ms is not None:
                    self._waits[attempt.backend].note("ok", attempt.queued_ms)
            used[int(request.finished_at_s // S_PER_DAY), request.model, request.key_name].count(request)

    def take(self) -> tuple[Mapping[Key, Tally], Mapping[Account, Consumption]]:
        """What was added since the last time."""
        tallies = {REQUEST: self._whole, OVERHEAD: self._own_part}
        tallies |= {backend_key(backend): tally for backend, tally in self._calls.items()}
        tallies |= {queue_key(backend): tally for backend, tally in self._waits.items()}
        accounts = {
            Account(day_of(day * S_PER_DAY), model, key or ANONYMOUS): used
            for (day, model, key), used in self._used.items()
        }
        self._begin()
        return {key: tally for key, tally in tallies.items() if tally.count}, accounts


def is_remarkable(request: DecisionRecord) -> bool:
    """Whether something went wrong in it."""
    return request.outcome != "ok" or any(attempt.outcome != "ok" for attempt in request.attempts)


def is_sampled(request: DecisionRecord, below: int) -> bool:
    """Whether the record of a successful request is kept, by its id, where `below` of `SAMPLES` are; others always."""
    if request.outcome != "ok" or below >= SAMPLES:
        return True
    return int(request.request_id[-SAMPLE_DIGITS:], 16) < below
