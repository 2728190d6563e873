"""What can be seen of the gateway, and how soon is it told that the tracer does not answer?"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from actors.edge.prometheus import exposition
from actors.protocol.errors import CallerError, LLMError, NotFound, TracerError
from actors.protocol.messages import JsonObject
from actors.tracing.spans import trace_operations

PATIENCE_S: Final = 0.8
FLUSH_PATIENCE_S: Final = 0.3
RECENT_SHOWN: Final = "20"
RECENT_KEPT: Final = 10_000
UNDER_WAY_S: Final = 0.6  # so long a record of another replica may be on its way

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

T = TypeVar("T")


class Tracing(Protocol):
    """The tracer, as a replica reaches it."""

    async def performance_report(self, recent: int) -> JsonObject: ...
    async def usage(self, day: str | None) -> JsonObject: ...
    async def explain(self, request_id: str) -> JsonObject | None: ...
    async def metrics(self) -> JsonObject: ...


@trace_operations("observatory")
class Observatory:
    """Asks the tracer, after it has heard what this replica knows. Every answer or `TracerError` comes within 1.1 s."""

    def __init__(
        self, tracer: Tracing, flush: Callable[[], Awaitable[object]], status: Callable[[], Awaitable[JsonObject]]
    ) -> None:
        self._tracer = tracer
        self._flush = flush
        self._status = status

    async def performance_report(self, recent: str = RECENT_SHOWN) -> JsonObject:
        """What `/api/performance-report` shows, with so many failed and slow requests (0 to 10000, in digits). Raises
        `CallerError` for what is no such number."""
        if not re.fullmatch(r"[0-9]{1,5}", recent) or int(recent) > RECENT_KEPT:
            raise CallerError(f"'recent' must be a number from 0 to {RECENT_KEPT}.", param="recent")
        return await self._told(lambda: self._tracer.performance_report(int(recent)))

    async def usage(self, day: str | None = None) -> JsonObject:
        """What `/api/usage` shows, of one day (YYYY-MM-DD) if given. Raises `CallerError` for what is no day."""
        if day is not None and not _DAY.fullmatch(day):
            raise CallerError("'day' must be YYYY-MM-DD, a day in UTC.", param="day")
        return await self._told(lambda: self._tracer.usage(day))

    async def explain(self, request_id: str) -> JsonObject:
        """How a request was answered. Raises `NotFound` for one that is not among those that are kept."""
        found = await self._told(lambda: self._tracer.explain(request_id))
        if found is None:
            await asyncio.sleep(UNDER_WAY_S)
            found = await self._told(lambda: self._tracer.explain(request_id))
        if found is None:
            raise NotFound(
                f"No decision record of '{request_id[:64]}' is kept: the last 10,000 sampled requests have one."
            )
        return found

    async def metrics(self) -> bytes:
        """The text for Prometheus; without the tracer only what the replica knows itself."""
        try:
            told: JsonObject | None = await self._told(self._tracer.metrics)
        except LLMError:
            told = None
        return exposition(told, await self._status())

    async def _told(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(FLUSH_PATIENCE_S):
                await self._flush()
        except TimeoutError:
            raise TracerError("The tracer does not answer; try again in a moment.", retry_after_s=1.0) from None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await ask()
        except (LLMError, TimeoutError):
            raise TracerError("The tracer does not answer; try again in a moment.", retry_after_s=1.0) from None
