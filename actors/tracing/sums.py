"""What did the requests of one replica add up to since it last told the tracer?"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

from actors.protocol.columns import Column, Columns
from actors.protocol.messages import Attempt, DecisionRecord, Usage
from actors.tracing.aggregates import Key, Tally, known
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
    """Adds requests up, many at once: that costs a fifth."""

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

    def add(self, requests: Columns) -> None:
        """Counts finished requests: each itself, our own part of its time, its upstream calls, and their waiting."""
        if not requests.count:
            return
        outcomes, costs = requests["outcome"], requests["cost_usd"]
        prompt, completion, estimated = requests.each(
            "usage", Usage, ("prompt_tokens", "completion_tokens", "estimated")
        )
        self._whole.note_all(outcomes, requests["latency_ms"], requests["ttft_ms"], prompt, completion, costs)
        succeeded = [outcome == "ok" for outcome in outcomes]
        self._own_part.latency.record_all(list(compress(requests["overhead_ms"], succeeded)))
        self._own_part.count += sum(succeeded)
        accounts = (_days(requests["finished_at_s"]), requests["model"], requests["key_name"])
        used = (outcomes, costs, requests["saved_usd"], prompt, completion, estimated)
        for (day, model, key_name), columns in _grouped(accounts, used):
            self._used[day, model, key_name].count_all(*columns)
        self._add_attempts(requests.held("attempts", Attempt)[1])

    def _add_attempts(self, attempts: Columns) -> None:
        prompt, completion = attempts.each("usage", Usage, ("prompt_tokens", "completion_tokens"))
        told = (attempts["outcome"], attempts["latency_ms"], attempts["ttft_ms"], prompt, completion)
        queued = attempts["queued_ms"]
        for (backend,), columns in _grouped((attempts["backend"],), (*told, attempts["cost_usd"], queued)):
            self._calls[backend].note_all(*columns[:-1])
            if waits := known(columns[-1]):
                self._waits[backend].latency.record_all(waits)
                self._waits[backend].count += len(waits)

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


def _days(moments_s: Column) -> Column:
    """The day of each moment, both since 1970."""
    first, last = int(min(moments_s) // S_PER_DAY), int(max(moments_s) // S_PER_DAY)
    return [first] * len(moments_s) if first == last else [int(moment_s // S_PER_DAY) for moment_s in moments_s]


def _grouped(keys: Sequence[Column], columns: Sequence[Column]) -> Iterable[tuple[Any, Sequence[Column]]]:
    """The columns of those records that have the same keys. Mostly all have."""
    count = len(keys[0])
    if all(column.count(column[0]) == count for column in keys if count):
        return [(tuple(column[0] for column in keys), columns)] if count else []
    places: defaultdict[Any, list[int]] = defaultdict(list)
    for place, key in enumerate(zip(*keys, strict=True)):
        places[key].append(place)
    return [(key, [[column[place] for place in here] for column in columns]) for key, here in places.items()]


def is_remarkable(request: DecisionRecord) -> bool:
    """Whether something went wrong in it."""
    return request.outcome != "ok" or any(attempt.outcome != "ok" for attempt in request.attempts)


def is_sampled(request: DecisionRecord, below: int) -> bool:
    """Whether the record of a successful request is kept, by its id, where `below` of `SAMPLES` are; others always."""
    if request.outcome != "ok" or below >= SAMPLES:
        return True
    return int(request.request_id[-SAMPLE_DIGITS:], 16) < below
