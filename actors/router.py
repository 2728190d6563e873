"""Router: the actor that knows which backends and models exist and in which state, and publishes the routing table."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from actors.edge.vitals import Vitals
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError
from actors.protocol.messages import Pulse
from actors.protocol.outlook import Outlook
from actors.protocol.patterns import Gains
from actors.protocol.predictions import Predictions
from actors.protocol.ratings import Rating
from actors.protocol.trust import Trust
from actors.resilience.error_handler import ErrorContext
from actors.routing.outlook import outlook_of
from actors.routing.strategies import LocalView, best_backend
from actors.routing.table import BackendRecord, BreakerState, Lease, Measured, ModelRecord, RoutingTable
from actors.tracing.spans import trace_operations

log = logging.getLogger("troupe.router")

REFRESH_EVERY_S = 1.0
SUPERVISOR_PATIENCE_S = 2.0
SUPERVISOR_STRIKES = 3  # missed probes before a hung supervisor is replaced


class Sources(Protocol):
    """Where the router learns what it publishes, and how it looks after the supervisor."""

    async def measured(self) -> Mapping[str, Measured]: ...
    async def weights(self) -> Mapping[str, Mapping[str, float]]: ...
    async def trust(self) -> Mapping[str, Mapping[str, Trust]]: ...
    async def ratings(self) -> Mapping[str, Mapping[str, Rating]]: ...
    async def gains(self) -> Gains: ...
    async def predictions(self, known_version: int) -> tuple[int, Predictions | None] | None: ...
    async def lease(self, backend: str) -> Lease: ...
    async def supervisor_pulse(self, patience_s: float) -> Pulse: ...
    def replace_supervisor(self, last: Pulse | None) -> None: ...
    def show_outlook(self, outlook: Outlook) -> None: ...


@trace_operations("router", without=("newer_table", "pulse"))
class Router:
    """Holds the `RoutingTable`; replicas wait here for the next one, but no request ever waits for this actor."""

    def __init__(
        self,
        backends: Mapping[str, BackendRecord],
        models: Mapping[str, ModelRecord],
        sources: Sources,
        end_self: Callable[[], None],
        edition: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.vitals = Vitals("router", clock)
        self._sources = sources
        self._end_self = end_self
        # Versions go on rising over a restart of this actor, as long as it publishes less than once a millisecond.
        self._table = RoutingTable(int(clock.wall_s() * 1000), dict(backends), dict(models), edition=edition)
        self._predictions_version = 0
        self._lease_versions: dict[str, float] = {}
        self._unleased = set(backends)  # whose lease is to be asked for
        self._asking = asyncio.Lock()
        self._published = asyncio.Condition()
        self._view = LocalView(random.Random())
        self._life: asyncio.Task[None] | None = None
        self._supervisor: Pulse | None = None
        self._supervisor_missed = 0

    async def start(self) -> None:
        """Begins to collect leases, measurements and weights; the first table is there at once."""
        self._life = asyncio.create_task(self._live())

    async def table(self) -> RoutingTable:
        """The newest routing table."""
        return self._table

    async def newer_table(self, known_version: int, wait_s: float) -> RoutingTable | None:
        """The newest table as soon as its version is above `known_version`; `None` if that does not happen in time."""
        try:
            async with asyncio.timeout(wait_s), self._published:
                await self._published.wait_for(lambda: self._table.version > known_version)
        except TimeoutError:
            return None
        return self._table

    async def get_best_model(self, model: str) -> str:
        """The backend that a request for `model` would be sent to first now. Raises `UnknownModel`."""
        return best_backend(model, self._table, self._view)

    async def set_breakers(
        self, breakers: Mapping[str, BreakerState], trials: Mapping[str, str | None] | None = None
    ) -> None:
        """Takes the supervisor's word on which backends may be called, and publishes it at once.

        `trials`: who tries whether a backend is back, for those that a replica has shut.
        """
        tried_by = trials or {}

        def changed(table: RoutingTable) -> RoutingTable:
            backends = {
                name: replace(record, breaker=breakers.get(name, record.breaker), trial=tried_by.get(name))
                for name, record in table.backends.items()
            }
            return replace(table, backends=backends)

        await self._publish(changed)

    async def note_leases(self, versions: Mapping[str, float]) -> None:
        """Takes the supervisor's word on which leases have changed, and publishes those at once.

        An actor that restarted, whose version is 0, has nothing new to say: what was revoked stays so.
        """
        changed = {name for name, version in versions.items() if version not in (0, self._lease_versions.get(name))}
        self._lease_versions.update({name: versions[name] for name in changed})
        self._unleased |= changed
        if changed:
            await self._publish_leases()

    async def drain(self) -> None:
        """Tells every replica to finish what runs and to refuse what comes."""
        await self._publish(lambda table: replace(table, draining=True))

    async def pulse(self) -> Pulse:
        """The answer to a probe; `version` is that of the newest table."""
        return self.vitals.pulse(version=float(self._table.version))

    async def stop(self) -> None:
        if self._life is not None:
            self._life.cancel()

    async def _live(self) -> None:
        while not self.vitals.orphaned():
            try:
                async with ErrorContext("router", "round"):
                    await self.refresh()
                    await self.watch_supervisor()
            except LLMError:  # whatever a source or Ray raises: the next round must come
                log.exception("a round of the router failed")
            await asyncio.sleep(REFRESH_EVERY_S)
        log.warning("the router has had no supervisor for a minute and ends itself")
        self._end_self()

    async def refresh(self) -> None:
        """Publishes what was measured and learned since, and the leases of backends that have come up."""
        measured: Mapping[str, Measured] = {}
        weights, trust, ratings = self._table.weights, self._table.trust, self._table.ratings
        gains, predictions = self._table.gains, self._table.predictions
        try:
            measured = await self._sources.measured()
            weights = await self._sources.weights()
            trust = await self._sources.trust()
            ratings = await self._sources.ratings()
            gains = await self._sources.gains()
            if (newer := await self._sources.predictions(self._predictions_version)) is not None:
                self._predictions_version, predictions = newer
        except LLMError as error:  # the last table stays good
            log.debug("the table keeps its measurements: %s", error)

        def changed(table: RoutingTable) -> RoutingTable:
            backends = {
                name: replace(record, measured=measured.get(name, record.measured))
                for name, record in table.backends.items()
            }
            return replace(
                table,
                backends=backends,
                weights=weights,
                trust=trust,
                ratings=ratings,
                gains=gains,
                predictions=predictions,
            )

        await self._publish(changed)
        if self._unleased:
            await self._publish_leases()
        self._sources.show_outlook(outlook_of(self._table))  # also an old one: the tracer may have restarted

    async def _publish_leases(self) -> None:
        """Asks for the leases that are not known or have changed; a backend that is away is asked again later."""
        async with self._asking:  # an older answer must not overtake a newer one
            asked, self._unleased = sorted(self._unleased), set()
            answers = await asyncio.gather(*map(self._sources.lease, asked), return_exceptions=True)
            granted: dict[str, Lease] = {}
            for name, answer in zip(asked, answers, strict=True):
                if isinstance(answer, Lease):
                    granted[name] = answer
                    continue
                self._unleased.add(name)
                if not isinstance(answer, LLMError):
                    log.error("'%s' did not say its lease: %s", name, type(answer).__name__)

        def changed(table: RoutingTable) -> RoutingTable:
            backends = {
                name: replace(record, lease=granted.get(name, record.lease)) for name, record in table.backends.items()
            }
            return replace(table, backends=backends)

        await self._publish(changed)

    async def _publish(self, change: Callable[[RoutingTable], RoutingTable]) -> None:
        """Publishes the changed table, if the change makes a difference; changes come one after another."""
        async with self._published:
            table = change(self._table)
            if table != self._table:
                self._table = replace(table, version=self._table.version + 1)
                self._published.notify_all()

    async def watch_supervisor(self) -> None:
        """Probes the supervisor, and replaces it after `SUPERVISOR_STRIKES` silent probes."""
        try:
            self._supervisor = await self._sources.supervisor_pulse(SUPERVISOR_PATIENCE_S)
        except TimeoutError:
            self._supervisor_missed += 1
            if self._supervisor_missed >= SUPERVISOR_STRIKES:
                log.warning("the supervisor hangs and is replaced")
                last, self._supervisor = self._supervisor, None
                self._sources.replace_supervisor(last)
                self._supervisor_missed = 0
        except LLMError:  # ended: Ray restarts it
            return
        else:
            self._supervisor_missed = 0
