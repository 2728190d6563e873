"""What has this replica not yet told the tracer?"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from actors.protocol.columns import Columns
from actors.protocol.errors import LLMError, Unauthenticated
from actors.protocol.messages import Attempt, DecisionRecord
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.tracing.bundle import Bundle, bundle_of
from actors.tracing.explanation import without_words
from actors.tracing.report import REQUEST
from actors.tracing.slowness import Slowness
from actors.tracing.sums import SAMPLES, Batch, Sums, is_remarkable, is_sampled

log = logging.getLogger("troupe.ledger")

BUNDLES_KEPT: Final = 80  # while the tracer is away
BUNDLES_AT_ONCE: Final = 32
REMARKABLE_KEPT: Final = 10_000
REMARKABLE_AT_ONCE: Final = 256
SLOWEST_KEPT: Final = 10

Tell = Callable[[Batch], Awaitable[None]]


class Measurements:
    """The sums over this replica's requests, and their records, on their way to the tracer. Adding never waits.

    A batch that was not acknowledged comes again, so that each request counts once. While the tracer is away the sums
    stay complete, and the records of the last 80 bundles (10,000 requests at full load) are kept.
    """

    def __init__(self, tell: Tell, sender: str = "only", sample_01: float = 1.0, *, every_record: bool = False) -> None:
        """`sample_01`: the share of successful requests whose records are kept.

        `every_record`: all records are told as such, not only those of requests in which something went wrong, and of
        the slow ones; the others come as bundles.
        """
        self._tell = tell
        self._sender = sender
        self._below = round(sample_01 * SAMPLES)
        self._every_record = every_record
        self._sums = Sums()
        self._remarkable: deque[DecisionRecord] = deque()
        self._bundles: deque[Bundle] = deque()
        self._slowest_ms: list[float] = [0.0] * SLOWEST_KEPT
        self._slowness = Slowness()
        self._dropped = 0
        self._number = 0
        self._untold: Batch | None = None  # sent, and not acknowledged
        self._telling = asyncio.Lock()

    def add(
        self, records: Sequence[DecisionRecord], columns: Columns | None = None, content: bytes | None = None
    ) -> None:
        """Takes finished requests. `columns`: the same as such, `content`: as these are `written`, where they are."""
        columns = columns or Columns.of(records)
        self._sums.add(columns)
        for record in records if self._every_record else self._to_be_looked_at(records, columns):
            self._slowest_ms = sorted([*self._slowest_ms, record.latency_ms])[1:]
            self._remarkable.append(without_words(record))
        sampled = records
        if Unauthenticated.code in columns["outcome"]:
            # Who has no key must not drive out the records of those who have one.
            sampled = [one for one in records if one.outcome != Unauthenticated.code]
        if self._below < SAMPLES:
            sampled = [one for one in sampled if is_sampled(one, self._below)]
        if sampled:
            is_whole = len(sampled) == columns.count
            try:
                self._bundles.append(bundle_of(sampled, columns, content) if is_whole else bundle_of(sampled))
            except TypeError as error:  # a record in which something is no JSON must not break the request
                error_aggregator.record(handle_error(error, "tracer", "record"), "tracer", "record")
                self._dropped += len(sampled)
        while len(self._bundles) > BUNDLES_KEPT:
            self._dropped += self._bundles.popleft().count
        while len(self._remarkable) > REMARKABLE_KEPT:
            self._remarkable.popleft()

    def _to_be_looked_at(self, records: Sequence[DecisionRecord], columns: Columns) -> Iterator[DecisionRecord]:
        """Those in which something went wrong, and the slow ones."""
        outcomes = {*columns["outcome"], *columns.held("attempts", Attempt)[1]["outcome"]}
        is_flawed = outcomes != {"ok"} and outcomes != set()
        for record, latency_ms in zip(records, columns["latency_ms"], strict=True):
            is_slow = latency_ms > self._slowest_ms[0] or latency_ms > self._slowness.above_ms
            if is_slow or (is_flawed and is_remarkable(record)):
                yield record

    async def flush(self) -> bool:
        """Tells what is to be told now; false if the tracer is away. Survives the caller's cancellation."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> bool:
        async with self._telling:
            while self._untold is not None or self._sums or self._remarkable or self._bundles:
                is_again = self._untold is not None
                if not await self._told(self._untold or self._batch()):
                    return False
                if not (is_again or self._remarkable or self._bundles):
                    break
        return True

    def _batch(self) -> Batch:
        tallies, accounts = self._sums.take()
        if whole := tallies.get(REQUEST):
            self._slowness.learn(whole.latency)
        records = [self._remarkable.popleft() for _ in range(min(len(self._remarkable), REMARKABLE_AT_ONCE))]
        bundles = [self._bundles.popleft() for _ in range(min(len(self._bundles), BUNDLES_AT_ONCE))]
        self._number += 1
        dropped, self._dropped = self._dropped, 0
        return Batch(self._sender, self._number, tallies, accounts, records, bundles, dropped, self._slowness.above_ms)

    async def _told(self, batch: Batch) -> bool:
        """Whether the tracer has got the batch."""
        self._untold = batch
        try:
            await self._tell(batch)
        except LLMError as error:
            log.debug("the tracer is told later: %s", error)
            return False
        except Exception as error:  # the loop that tells must outlive whatever a batch or the tracer does
            error_aggregator.record(handle_error(error, "tracer", "record"), "tracer", "record")
            log.exception("a batch for the tracer could not be sent")
            return False
        self._untold = None
        return True
