"""What has this replica not yet reported? Decision records on their way to the optimizer and the tracer."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord

log = logging.getLogger("troupe.ledger")

FLUSH_EVERY_S = 0.1
FLUSH_AT = 256
KEPT_FOR_OPTIMIZER = 10_000  # feedback must find its request: only more than this would lose one
KEPT_FOR_TRACER = 4_096


class Readers(Protocol):
    """Who reads the ledger."""

    async def record_decisions(self, records: Sequence[DecisionRecord]) -> None: ...
    async def trace(self, records: Sequence[DecisionRecord], dropped: int) -> None: ...


class Ledger:
    """Bounded queues of finished requests. Writing never waits; what a full queue drops is counted.

    The optimizer's queue is sent again until it is acknowledged, the tracer's once: measurements may be lost, the
    records that feedback refers to may not. With `measuring` off the tracer is told nothing.
    """

    def __init__(self, measuring: bool = True) -> None:
        self._measuring = measuring
        self._decisions: deque[DecisionRecord] = deque(maxlen=KEPT_FOR_OPTIMIZER)
        self._measurements: deque[DecisionRecord] = deque(maxlen=KEPT_FOR_TRACER)
        self._dropped = 0
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()

    def write(self, record: DecisionRecord) -> None:
        """Takes note of a finished request."""
        self._decisions.append(record)
        if self._measuring:
            self._dropped += len(self._measurements) == KEPT_FOR_TRACER
            self._measurements.append(record)
        if len(self._decisions) >= FLUSH_AT:
            self._full.set()

    async def flush(self, readers: Readers) -> None:
        """Sends what is there now. A reader that cannot be reached is no error here."""
        async with self._flushing:
            await self._send_decisions(readers)
            await self._send_measurements(readers)

    async def flush_forever(self, readers: Readers) -> None:
        """Sends every `FLUSH_EVERY_S`, or sooner when `FLUSH_AT` records wait."""
        while True:
            try:
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            if self._decisions or self._measurements:
                await self.flush(readers)

    async def _send_decisions(self, readers: Readers) -> None:
        batch = list(self._decisions)
        if not batch:
            return
        self._decisions.clear()
        try:
            await readers.record_decisions(batch)
        except LLMError as error:
            log.debug("%d decisions wait for the optimizer: %s", len(batch), error)
            self._decisions.extendleft(reversed(batch))

    async def _send_measurements(self, readers: Readers) -> None:
        batch, dropped = list(self._measurements), self._dropped
        self._measurements.clear()
        self._dropped = 0
        if not batch and not dropped:
            return
        try:
            await readers.trace(batch, dropped)
        except LLMError as error:
            log.debug("%d measurements were lost: %s", len(batch), error)
            self._dropped += len(batch) + dropped
