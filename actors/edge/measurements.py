"""What has this replica not yet told the tracer?"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.tracing.explanation import without_words
from actors.tracing.sums import SAMPLES, Batch, Sums, is_remarkable, is_sampled

log = logging.getLogger("troupe.ledger")

TOLD_EVERY_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
RECORDS_KEPT: Final = 10_000
RECORDS_AT_ONCE: Final = 64  # plain ones; at more than 640 requests a second the rest is told when somebody asks
SLOWEST_KEPT: Final = 10

Tell = Callable[[Batch], Awaitable[Sequence[str]]]


class Measurements:
    """The sums over this replica's requests, and their records, on their way to the tracer. Writing never waits.

    The sums are complete and come every 0.1 s; one that was not acknowledged comes again, so that each counts once.
    Records of requests in which something went wrong, and of the slowest, come with them; of the others a few at a
    time, and those that the tracer asks for. Those of the last 10,000 requests that it has not got are kept here.
    """

    def __init__(self, tell: Tell, sender: str = "only", sample_01: float = 1.0, *, every_record: bool = False) -> None:
        """`sample_01`: the share of successful requests whose records are kept; `every_record`: all are told."""
        self._tell = tell
        self._sender = sender
        self._below = round(sample_01 * SAMPLES)
        self._every_record = every_record
        self._sums = Sums()
        self._urgent: deque[DecisionRecord] = deque()
        self._plain: OrderedDict[str, tuple[int, DecisionRecord]] = OrderedDict()  # by id, each with its number
        self._written = 0
        self._slowest_ms: list[float] = [0.0] * SLOWEST_KEPT
        self._dropped = 0
        self._number = 0
        self._untold: Batch | None = None  # sent, and not acknowledged
        self._telling = asyncio.Lock()

    def write(self, record: DecisionRecord) -> None:
        """Takes note of a finished request."""
        self._sums.add(record)
        self._written += 1
        if self._every_record or is_remarkable(record) or record.latency_ms > self._slowest_ms[0]:
            self._urgent.append(record)
            self._slowest_ms = sorted([*self._slowest_ms, record.latency_ms])[1:]
            if len(self._urgent) > RECORDS_KEPT:
                self._urgent.popleft()
                self._dropped += 1
        elif is_sampled(record, self._below):
            self._plain[record.request_id] = self._written, record
            while next(iter(self._plain.values()))[0] <= self._written - RECORDS_KEPT:
                self._plain.popitem(last=False)

    async def flush(self) -> bool:
        """Tells what is to be told now; false if the tracer is away. Survives the caller's cancellation."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def flush_forever(self) -> None:
        """Tells every `TOLD_EVERY_S`; slower while the tracer is away."""
        pause_s = TOLD_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = TOLD_EVERY_S if await self._flush() else min(LONGEST_PAUSE_S, pause_s * 2)

    async def _flush(self) -> bool:
        async with self._telling:
            while self._untold is not None or self._sums or self._urgent or self._plain:
                is_again = self._untold is not None
                wanted = await self._told(self._untold or self._batch())
                if wanted is None:
                    return False
                for request_id in wanted:
                    if (found := self._plain.pop(request_id, None)) is not None:
                        self._urgent.append(found[1])
                if not (is_again or self._urgent):
                    break
        return True

    def _batch(self) -> Batch:
        tallies, accounts = self._sums.take()
        records = [self._urgent.popleft() for _ in range(min(len(self._urgent), RECORDS_AT_ONCE * 4))]
        records += [self._plain.popitem()[1][1] for _ in range(min(len(self._plain), RECORDS_AT_ONCE))]
        self._number += 1
        dropped, self._dropped = self._dropped, 0
        told = [record if record.ensemble is None else without_words(record) for record in records]
        return Batch(self._sender, self._number, tallies, accounts, told, dropped)

    async def _told(self, batch: Batch) -> Sequence[str] | None:
        """The requests whose records the tracer asks for; `None` where it did not get the batch."""
        self._untold = batch
        try:
            wanted = await self._tell(batch)
        except LLMError as error:
            log.debug("the tracer is told later: %s", error)
            return None
        except Exception as error:  # the loop that tells must outlive whatever a batch or the tracer does
            error_aggregator.record(handle_error(error, "tracer", "record"), "tracer", "record")
            log.exception("a batch for the tracer could not be sent")
            return None
        self._untold = None
        return wanted
