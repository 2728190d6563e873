"""Backend: the actor that owns one model: its credential, limits and lease, and its loaded weights if it has any."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace

from actors.edge.vitals import Vitals
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import BackendUnavailable, LLMError
from actors.protocol.messages import LEASE_VERSION, Call, Chunk, Completion, Pulse
from actors.protocol.ports import Provider
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.routing.book import Book
from actors.routing.shares import Allowance, Grant, Renewal
from actors.routing.table import Lease
from actors.tracing.spans import note_request, trace_operations

log = logging.getLogger("troupe.backend")

PROBE_EVERY_S = 2.0
RELOAD_AFTER_S = 5.0
COALESCE_S = 0.01  # a message between processes costs as much as this many milliseconds of decoding are worth


@trace_operations("backend")
class Backend:
    """One model, called through this actor when its weights live here, or under its lease when they do not.

    `build` makes the provider; it is called in the actor, so connections and weights never cross processes. `limit` is
    what all of `replicas` replicas together may use.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Provider],
        lease: Lease,
        end_self: Callable[[], None],
        limit: Allowance,
        replicas: int = 1,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.vitals = Vitals(f"backend:{name}", clock)
        self._build = build
        self._clock = clock
        self._lease = lease
        self._lease_version = 0
        self._book = Book(limit, replicas, clock)
        self._end_self = end_self
        self._provider: Provider | None = None
        self._fault: str | None = "starting"
        self._decided = asyncio.Event()  # whether the present try to load has ended
        self._life: asyncio.Task[None] | None = None
        self._in_flight = 0

    async def start(self) -> None:
        """Begins to load or connect; calls wait until that is done. Returns at once."""
        self._life = asyncio.create_task(self._live())

    async def complete(self, call: Call) -> Completion:
        """The whole answer. Raises `BackendError`s."""
        note_request(call.request_id)
        provider = await self._ready_provider(call)
        with self._counted():
            return await provider.complete(call)

    async def stream(self, call: Call) -> AsyncIterator[list[Chunk]]:
        """The answer's chunks in order, in batches of what arrived within `COALESCE_S`. Raises `BackendError`s."""
        note_request(call.request_id)
        provider = await self._ready_provider(call)
        with self._counted():
            async with contextlib.aclosing(coalesced(provider.stream(call), COALESCE_S)) as batches:
                async for batch in batches:
                    yield batch

    async def lease(self) -> Lease:
        """Where and with which credential replicas may call the model now, or that they may not."""
        return self._lease

    async def renew(self, renewal: Renewal) -> Grant:
        """A replica's share of the limits from now on; it asks about once a second while it calls the model."""
        return self._book.renew(renewal)

    async def revoke(self) -> None:
        """Takes the model out of service: within about two seconds no replica begins a call any more.

        Running calls finish. It holds until `restore`, also over a restart of this actor.
        """
        self._change_lease(is_revoked=True)

    async def restore(self) -> None:
        """Puts the model back into service."""
        self._change_lease(is_revoked=False)

    def _change_lease(self, is_revoked: bool) -> None:
        self._lease = replace(self._lease, is_revoked=is_revoked)
        # Rising over a restart as well; 0 is an actor's that has nothing new to say.
        self._lease_version = max(self._lease_version + 1, int(self._clock.wall_s() * 1000))
        log.warning("the lease of '%s' was %s", self.name, "revoked" if is_revoked else "restored")

    async def pulse(self) -> Pulse:
        """The answer to a probe: unhealthy while loading, and with the reason while the model cannot be asked."""
        gauges = {"in_flight": float(self._in_flight), LEASE_VERSION: float(self._lease_version)}
        return self.vitals.pulse(self._fault is None, self._fault, **gauges)

    async def stop(self) -> None:
        """Stops running work and frees what the model holds."""
        if self._life is not None:
            self._life.cancel()
        if self._provider is not None:
            await self._provider.aclose()

    async def _live(self) -> None:
        while not self.vitals.orphaned():
            if self._provider is None:
                await self._load()
            else:
                await self._probe(self._provider)
            await asyncio.sleep(PROBE_EVERY_S if self._provider else RELOAD_AFTER_S)
        log.warning("%s has had no supervisor for a minute and ends itself", self.vitals.name)
        if self._provider is not None:
            await self._provider.aclose()
        self._end_self()

    async def _load(self) -> None:
        self._decided.clear()
        try:
            provider = self._build()
            await provider.start()
        except Exception as error:  # the next try must come, whatever a library raises while it loads
            known = isinstance(error, LLMError)
            error_aggregator.record(handle_error(error, "backend", "load"), "backend", "load")
            self._fault = str(error) if known else f"it could not be loaded ({type(error).__name__})"
            log.error("%s cannot start: %s", self.vitals.name, self._fault, exc_info=None if known else error)
        else:
            self._provider, self._fault = provider, None
        self._decided.set()

    async def _probe(self, provider: Provider) -> None:
        fault: str | None = None
        try:
            await provider.probe()
        except LLMError as error:
            error_aggregator.record(error, "backend", "probe")
            fault = str(error)
        except Exception as error:  # as above
            error_aggregator.record(handle_error(error, "backend", "probe"), "backend", "probe")
            log.exception("%s fails its probe unexpectedly", self.vitals.name)
            fault = f"its probe failed with {type(error).__name__}"
        if fault is not None and self._fault is None:
            log.warning("%s fails its probe: %s", self.vitals.name, fault)
        self._fault = fault

    async def _ready_provider(self, call: Call) -> Provider:
        """The provider, once it is loaded; a load that has failed is told at once."""
        if self._provider is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(call.time_left_s):
                    await self._decided.wait()
        if self._provider is None:
            raise BackendUnavailable(f"'{self.name}' is not ready: {self._fault}.", self.name)
        return self._provider

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1


async def coalesced(chunks: AsyncIterator[Chunk], interval_s: float) -> AsyncGenerator[list[Chunk], None]:
    """The same chunks in lists: the first at once, then whatever arrived, at most one list per `interval_s`."""
    arrived: list[Chunk] = []
    news = asyncio.Event()
    finished = False

    async def pump() -> None:
        nonlocal finished
        try:
            async with contextlib.aclosing(chunks) as source:  # type: ignore[type-var]  # ports hand out generators
                async for chunk in source:
                    arrived.append(chunk)
                    news.set()
        finally:
            finished = True
            news.set()

    pumping = asyncio.create_task(pump())
    try:
        while not (finished and not arrived):
            await news.wait()
            news.clear()
            if arrived:
                batch, arrived[:] = list(arrived), []
                yield batch
                if not finished:
                    await asyncio.sleep(interval_s)
                if arrived:
                    news.set()
        await pumping
    finally:
        if not pumping.done():
            pumping.cancel()
            with contextlib.suppress(asyncio.CancelledError, LLMError):
                await pumping
