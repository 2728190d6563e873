"""What has this replica not yet reported? Decision records on their way to the optimizer and the tracer."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from actors.edge.measurements import Measurements
from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.tracing.sums import Batch

log = logging.getLogger("troupe.ledger")

FLUSH_EVERY_S = 0.1
BATCH = 256
LONGEST_PAUSE_S = 5.0
KEPT_FOR_OPTIMIZER = 10_000  # feedback must find its request: only more than this would lose one

Send = Callable[[Sequence[DecisionRecord], int], Awaitable[None]]


class Readers(Protocol):
    """Who reads the ledger."""

    async def record_decisions(self, records: Sequence[DecisionRecord]) -> None: ...
    async def trace(self, batch: Batch) -> None: ...


class Lane:
    """One reader's bounded queue. Writing never waits; what a full queue drops, the oldest, is counted.

    A record leaves the queue when the reader has acknowledged it. A reader that is away is tried again, less and less
    often, in batches that cost the event loop little.
    """

    def __init__(self, reader: str, send: Send, capacity: int) -> None:
        self._reader = reader
        self._send = send
        self._capacity = capacity
        self._waiting: deque[DecisionRecord] = deque()
        self._dropped = 0
        self._full = asyncio.Event()
        self._sending = asyncio.Lock()

    def write(self, record: DecisionRecord) -> None:
        """Takes note of a finished request."""
        if len(self._waiting) == self._capacity:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(record)
        if len(self._waiting) == BATCH:
            self._full.set()

    async def flush(self) -> bool:
        """Sends all that waits now; false if the reader could not be reached. Survives the caller's cancellation."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def flush_forever(self) -> None:
        """Sends every `FLUSH_EVERY_S`, or sooner when a batch is full; slower while the reader is away."""
        pause_s = FLUSH_EVERY_S
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            reached = await self._flush()
            pause_s = FLUSH_EVERY_S if reached else min(LONGEST_PAUSE_S, pause_s * 2)
            if not reached:
                await asyncio.sleep(pause_s)

    async def _flush(self) -> bool:
        async with self._sending:
            for _ in range(len(self._waiting) // BATCH + 1):
                batch, dropped = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))], self._dropped
                if not batch and not dropped:
                    return True
                if not await self._sent(batch, dropped):
                    return False
                self._dropped -= dropped
                # Those that the full queue dropped meanwhile were the first of this batch.
                for record in batch:
                    if self._waiting and self._waiting[0] is record:
                        self._waiting.popleft()
        return True

    async def _sent(self, batch: Sequence[DecisionRecord], dropped: int) -> bool:
        try:
            await self._send(batch, dropped)
        except LLMError as error:
            log.debug("%d records wait for the %s: %s", len(self._waiting), self._reader, error)
            return False
        except Exception as error:  # the loop that sends must outlive whatever a batch or a reader does
            error_aggregator.record(handle_error(error, self._reader, "record"), self._reader, "record")
            log.exception("a batch for the %s could not be sent", self._reader)
            return False
        return True


class Ledger:
    """What the optimizer and the tracer have still to hear. Without `measuring` the tracer is told nothing.

    `sender`, `sample_01`, `every_record`: see `Measurements`.
    """

    def __init__(
        self,
        readers: Readers,
        measuring: bool = True,
        sender: str = "only",
        sample_01: float = 1.0,
        *,
        every_record: bool = False,
    ) -> None:
        async def decide(records: Sequence[DecisionRecord], _: int) -> None:
            if records:
                await readers.record_decisions(records)

        self._decisions = Lane("optimizer", decide, KEPT_FOR_OPTIMIZER)
        self._measurements = Measurements(readers.trace, sender, sample_01, every_record=every_record)
        self._measuring = measuring

    def write(self, record: DecisionRecord) -> None:
        """Takes note of a finished request. The members' own words go to the optimizer alone."""
        self._decisions.write(record)
        if self._measuring:
            self._measurements.write(record)

    async def flush_decisions(self) -> None:
        """Sends what the optimizer has not heard; an optimizer that is away is no error here."""
        await self._decisions.flush()

    async def flush_measurements(self) -> bool:
        """Tells the tracer what it has not heard; false if it is away, which is no error here."""
        return await self._measurements.flush()

    async def flush_forever(self) -> None:
        """Keeps both readers informed, each at its own pace."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._decisions.flush_forever())
            lanes.create_task(self._measurements.flush_forever())
