"""What has this replica not yet reported? Decision records on their way to the optimizer and the tracer."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from actors.edge.measurements import Measurements
from actors.protocol.columns import Columns, Written
from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.tracing.sums import Batch

log = logging.getLogger("troupe.ledger")

FLUSH_EVERY_S: Final = 0.1
UNDER_LOAD_S: Final = 1.0  # telling the tracer costs a millisecond here and several there
LONGEST_PAUSE_S: Final = 5.0
FOLD_AT: Final = 384  # so many are still in the cache
BATCH: Final = 256
KEPT_FOR_OPTIMIZER: Final = 10_000  # feedback must find its request: only more than this would lose one


class Readers(Protocol):
    """Who reads the ledger."""

    async def record_decisions(self, records: Written) -> None: ...
    async def trace(self, batch: Batch) -> None: ...


class Lane:
    """The optimizer's bounded queue, of records that are written already. Adding never waits; the oldest are dropped.

    Records leave the queue when the optimizer has acknowledged them.
    """

    def __init__(self, send: Callable[[Written], Awaitable[None]], capacity: int) -> None:
        self._send = send
        self._capacity = capacity
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._count = 0
        self._sending = asyncio.Lock()

    def add(self, count: int, records: bytes) -> None:
        """Takes so many finished requests."""
        self._waiting.append((count, records))
        self._count += count
        while self._count > self._capacity:
            self._count -= self._waiting.popleft()[0]

    async def flush(self) -> bool:
        """Sends all that waits now; false if the optimizer could not be reached. Survives the caller's cancellation."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> bool:
        async with self._sending:
            left = self._count
            while left > 0:
                parts = self._next_parts()
                if not await self._sent(parts):
                    return False
                # Those that the full queue dropped meanwhile were the first of these.
                for part in parts:
                    left -= part[0]
                    if self._waiting and self._waiting[0] is part:
                        self._count -= self._waiting.popleft()[0]
        return True

    def _next_parts(self) -> Sequence[tuple[int, bytes]]:
        parts: list[tuple[int, bytes]] = []
        count = 0
        for part in self._waiting:
            count += part[0]
            if parts and count > BATCH:
                break
            parts.append(part)
        return parts

    async def _sent(self, parts: Sequence[tuple[int, bytes]]) -> bool:
        try:
            await self._send(Written([data for _, data in parts]))
        except LLMError as error:
            log.debug("%d records wait for the optimizer: %s", self._count, error)
            return False
        except Exception as error:  # the loop that sends must outlive whatever a batch or the optimizer does
            error_aggregator.record(handle_error(error, "optimizer", "record"), "optimizer", "record")
            log.exception("a batch for the optimizer could not be sent")
            return False
        return True


class Ledger:
    """What the optimizer and the tracer have still to hear. Without `measuring` the tracer is told nothing.

    Records are worked off many at a time, for both readers in one go: fetching them from memory is the greater part.
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
        self._fresh: list[DecisionRecord] = []
        self._turned_away: list[DecisionRecord] = []
        self._decisions = Lane(readers.record_decisions, KEPT_FOR_OPTIMIZER)
        self._measurements = Measurements(readers.trace, sender, sample_01, every_record=every_record)
        self._measuring = measuring
        self._since_told = 0
        self._is_loaded = False

    def write(self, record: DecisionRecord) -> None:
        """Takes note of a finished request. The members' own words go to the optimizer alone."""
        self._fresh.append(record)
        if len(self._fresh) >= FOLD_AT:
            self._fold()

    def note(self, record: DecisionRecord) -> None:
        """Takes note of a request from which there is nothing to learn: for the tracer alone."""
        self._turned_away.append(record)
        if len(self._turned_away) >= FOLD_AT:
            self._fold()

    async def flush_decisions(self) -> bool:
        """Sends what the optimizer has not heard; false if it is away, which is no error here."""
        self._fold()
        return await self._decisions.flush()

    async def flush_measurements(self) -> bool:
        """Tells the tracer what it has not heard; false if it is away, which is no error here."""
        self._fold()
        self._is_loaded, self._since_told = self._since_told >= FOLD_AT, 0
        return await self._measurements.flush()

    @property
    def tells_every_s(self) -> float:
        """How often the tracer is told, by how many requests there were lately."""
        return UNDER_LOAD_S if self._is_loaded else FLUSH_EVERY_S

    async def flush_forever(self) -> None:
        """Keeps both readers informed, each at its own pace."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(_keep(self.flush_decisions, lambda: FLUSH_EVERY_S))
            loops.create_task(_keep(self.flush_measurements, lambda: self.tells_every_s))

    def _fold(self) -> None:
        fresh, self._fresh = self._fresh, []
        turned_away, self._turned_away = self._turned_away, []
        self._since_told += len(fresh) + len(turned_away)
        if fresh:
            columns = Columns.of(fresh)
            content = self._written(fresh, columns)
            if self._measuring:
                self._measurements.add(fresh, columns, content)
        if self._measuring and turned_away:
            self._measurements.add(turned_away)

    def _written(self, records: Sequence[DecisionRecord], columns: Columns) -> bytes | None:
        """Puts them on their way to the optimizer: as what was written, unless one of them could not be."""
        try:
            content = columns.written()
        except TypeError as error:
            if len(records) == 1:
                error_aggregator.record(handle_error(error, "optimizer", "record"), "optimizer", "record")
                log.error("the outcome of %r cannot be written", records[0].request_id)
            else:  # the others shall not suffer
                for record in records:
                    self._written([record], Columns.of([record]))
            return None
        self._decisions.add(len(records), content)
        return content


async def _keep(flush: Callable[[], Awaitable[bool]], every_s: Callable[[], float]) -> None:
    """Flushes at such intervals; less and less often while the reader is away."""
    pause_s = every_s()
    while True:
        await asyncio.sleep(pause_s)
        pause_s = every_s() if await flush() else min(LONGEST_PAUSE_S, pause_s * 2)
