"""What did the requests of one replica add up to since it last told the tracer?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors.protocol.messages import Attempt, DecisionRecord
from actors.tracing.aggregates import Aggregates, Key, Measurement, Tally
from actors.tracing.report import OVERHEAD, REQUEST, backend_key, queue_key
from actors.tracing.usage import Account, Consumption, UsageBook

FOLD_AT: Final = 256
SAMPLE_DIGITS: Final = 4  # of a request's random id, in base 16
SAMPLES: Final = 0x10000


@dataclass(slots=True)
class Batch:
    """What a replica tells at a time: sums over all requests, and the records of some of them.

    `number` counts a sender's batches from 1: one that comes again, since its acknowledgement was lost, is not counted
    again. `dropped`: records that nobody will see any more, though their requests are in the sums.
    """

    sender: str
    number: int
    tallies: Mapping[Key, Tally] = field(default_factory=dict)
    accounts: Mapping[Account, Consumption] = field(default_factory=dict)
    records: Sequence[DecisionRecord] = ()
    dropped: int = 0


class Sums:
    """Adds requests up, many at once: that costs a third."""

    def __init__(self) -> None:
        self._unfolded: list[DecisionRecord] = []
        self._tallies = Aggregates(windowed=False)
        self._usage = UsageBook()

    def __bool__(self) -> bool:
        return bool(self._unfolded) or len(self._tallies) > 0

    def add(self, request: DecisionRecord) -> None:
        """Counts a finished request."""
        self._unfolded.append(request)
        if len(self._unfolded) >= FOLD_AT:
            self._fold()

    def take(self) -> tuple[Mapping[Key, Tally], Mapping[Account, Consumption]]:
        """What was added since the last time."""
        self._fold()
        told = self._tallies.totals(), self._usage.accounts()
        self._tallies, self._usage = Aggregates(windowed=False), UsageBook()
        return told

    def _fold(self) -> None:
        requests, self._unfolded = self._unfolded, []
        self._tallies.add(*(measured for request in requests for measured in measurements(request)))
        for request in requests:
            self._usage.add(request)


def measurements(request: DecisionRecord) -> Iterator[Measurement]:
    """What the sums need of a request: itself, our own part of its time, its upstream calls, and their waiting."""
    usage = request.usage
    yield Measurement(
        REQUEST,
        request.outcome,
        request.latency_ms,
        request.ttft_ms,
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
        request.cost_usd or 0.0,
    )
    if request.outcome == "ok":
        yield Measurement(OVERHEAD, "ok", request.overhead_ms)
    for attempt in request.attempts:
        yield _of_attempt(attempt)
        if attempt.queued_ms is not None:
            yield Measurement(queue_key(attempt.backend), "ok", attempt.queued_ms)


def is_remarkable(request: DecisionRecord) -> bool:
    """Whether its record is told in any case: something went wrong in it."""
    return request.outcome != "ok" or any(attempt.outcome != "ok" for attempt in request.attempts)


def is_sampled(request: DecisionRecord, below: int) -> bool:
    """Whether the record of a successful request is kept, by its id, where `below` of `SAMPLES` are; others always."""
    if request.outcome != "ok" or below >= SAMPLES:
        return True
    return int(request.request_id[-SAMPLE_DIGITS:], 16) < below


def _of_attempt(attempt: Attempt) -> Measurement:
    usage = attempt.usage
    return Measurement(
        backend_key(attempt.backend),
        attempt.outcome,
        attempt.latency_ms,
        attempt.ttft_ms,
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
        attempt.cost_usd or 0.0,
    )
