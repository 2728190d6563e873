"""Supervisor: the root actor: creates the others in order, probes them, restarts what died or hangs, and says so."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.edge.vitals import Vitals
from actors.protocol.clock import SYSTEM_CLOCK, Clock, Deadline
from actors.protocol.errors import LLMError
from actors.protocol.messages import LEASE_VERSION, ActorStatus, CompanyStatus, Pulse, Role
from actors.resilience.breaker import BreakersOfRecord
from actors.resilience.child import Child
from actors.resilience.error_handler import ErrorContext
from actors.resilience.supervision import Chronicle, RestartIntensity, RestartStrategy, also_restarted
from actors.routing.table import BreakerState
from actors.tracing.spans import trace_operations

log = logging.getLogger("troupe.supervisor")


@dataclass(frozen=True, slots=True)
class Discipline:
    """How patient the supervisor is, in seconds; more than `max_restarts` within `window_s` is the end of trying.

    `control` and `backends`: who is started anew when one of the control plane (tracer, optimizer, router, in this
    order) or one backend has failed. Each restores its own state, so by default nobody else.
    """

    probe_every_s: float = 1.0
    patience_s: float = 2.0
    strikes: int = 2
    start_limit_s: float = 180.0
    recreate_after_s: float = 8.0
    control: RestartStrategy = "one_for_one"
    backends: RestartStrategy = "one_for_one"
    max_restarts: int = 10
    window_s: float = 60.0
    forget_replica_after_s: float = 6.0
    abandoned_after_s: float = 60.0  # without any replica


class Company(Protocol):
    """What the supervisor can do to the others."""

    def raise_actor(self, role: Role) -> None: ...
    async def pulse(self, name: str, patience_s: float) -> Pulse: ...
    def replace(self, name: str, last: Pulse | None) -> None: ...
    def dismiss(self, name: str) -> None: ...
    async def stop(self, name: str, patience_s: float) -> None: ...
    async def set_breakers(self, breakers: Mapping[str, BreakerState], trials: Mapping[str, str | None]) -> None: ...
    async def note_leases(self, versions: Mapping[str, float]) -> None: ...
    async def drain(self) -> None: ...


@trace_operations("supervisor")
class Supervisor:
    """The supervision tree of one gateway: one child per role, in two groups, with a restart intensity for each child.

    A child that exceeds it is given up, and the gateway goes on without it: degraded, and saying so.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        company: Company,
        end_self: Callable[[], None],
        edition: str = "",
        discipline: Discipline = Discipline(),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.vitals = Vitals("supervisor", clock)
        self._company = company
        self._end_self = end_self
        self._discipline = discipline
        self._clock = clock
        self._children = [
            Child(role, clock.monotonic_s(), RestartIntensity(discipline.max_restarts, discipline.window_s))
            for role in roles
        ]
        self._chronicle = Chronicle(clock)
        self._replicas: dict[str, tuple[float, Pulse]] = {}
        self._visited_s = clock.monotonic_s()
        self._breakers = BreakersOfRecord()
        self._telling = asyncio.Lock()
        self._draining = False
        self._told: object = None  # what the router knows, and which process of it
        self._edition = edition
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Creates every actor that does not exist yet, in order, and begins to look after them. Returns at once."""
        for child in self._children:
            self._company.raise_actor(child.role)
        self._life = asyncio.create_task(self._live())

    async def edition(self) -> str:
        """Which deployment this company belongs to."""
        return self._edition

    async def status(self) -> Sequence[ActorStatus]:
        """Every member of the company with its state, itself first and the replicas last."""
        own = self.vitals.pulse()
        replicas = [
            ActorStatus(
                name,
                "ensemble",
                "alive",
                pulse.pid,
                pulse.node,
                0,
                round(pulse.uptime_s, 1),
                pulse.detail,
                pulse.errors,
            )
            for name, (seen_s, pulse) in self._replicas.items()
            if self._is_fresh(seen_s)
        ]
        myself = ActorStatus(
            "supervisor", "supervisor", "alive", own.pid, own.node, 0, round(own.uptime_s, 1), errors=own.errors
        )
        return [myself, *(child.status() for child in self._children), *replicas]

    async def announce(self, pulse: Pulse) -> CompanyStatus:
        """Takes a replica's sign of life, returns the status; a replica that falls silent disappears from it.

        What it has shut by its own experience is shut for all others at once.
        """
        self._visited_s = self._clock.monotonic_s()
        self._replicas[pulse.name] = (self._visited_s, pulse)
        for child in self._children:  # counts from before a restart of this actor
            child.restarts = max(child.restarts, pulse.restarts.get(child.role.name, 0))
        known = self._breakers.holders
        self._breakers.hear(pulse.name, frozenset(pulse.shut))
        for name in [name for name, (seen_s, _) in self._replicas.items() if not self._is_fresh(seen_s)]:
            del self._replicas[name]
            self._breakers.forget(name)
        if self._breakers.holders != known:
            self._note_breakers(known, self._breakers.holders)
            await self._tell_router()
        return CompanyStatus(await self.status(), self._chronicle.rulings)

    async def pulse(self) -> Pulse:
        """The answer to a probe by the router."""
        return self.vitals.pulse()

    async def drain(self, within_s: float) -> None:
        """Has the replicas refuse new requests; returns when none is running any more, or after `within_s`."""
        self._draining = True
        deadline = Deadline.after(within_s, self._clock)
        await self._company.drain()
        while deadline.time_left_s() > 0:
            fresh = [pulse.gauges for seen_s, pulse in self._replicas.values() if self._is_fresh(seen_s)]
            if fresh and all(gauges.get("draining") and not gauges.get("in_flight") for gauges in fresh):
                return
            await asyncio.sleep(_DRAIN_LOOK_S)

    async def stop(self) -> None:
        """Ends the children, last created first, and stops looking after them; the caller then ends this actor."""
        if self._life is not None:
            self._life.cancel()
        await self._end_children()

    async def _end_children(self) -> None:
        for child in reversed(self._children):
            await self._company.stop(child.role.name, self._discipline.patience_s)
            child.become("dead", self._clock.monotonic_s(), "stopped")

    def _is_fresh(self, seen_s: float) -> bool:
        return self._clock.monotonic_s() - seen_s < self._discipline.forget_replica_after_s

    async def _live(self) -> None:
        while not self.abandoned():
            try:
                async with ErrorContext("supervisor", "round"):
                    await self.look_after_all(over_s=self._discipline.probe_every_s / 2)
            except LLMError:  # the root has nobody above it: whatever a probe meets, the next round must come
                log.exception("a round of probes failed")
            await asyncio.sleep(self._discipline.probe_every_s / 2)
        log.warning("no replica has been here for %.0f s; the company ends", self._discipline.abandoned_after_s)
        await self._end_children()
        self._end_self()

    def abandoned(self) -> bool:
        """Whether no replica has given a sign of life for `abandoned_after_s`."""
        return self._clock.monotonic_s() - self._visited_s > self._discipline.abandoned_after_s

    async def look_after_all(self, over_s: float = 0.0) -> None:
        """One round: probes every child, acts on what it finds, and tells the router which backends may be called.

        Probes go out one after another over `over_s`: a hundred at the same moment would hold up requests.
        """
        apart_s = over_s / max(1, len(self._children))
        await asyncio.gather(*(self._look_after(child, n * apart_s) for n, child in enumerate(self._children)))
        await self._tell_router()

    async def _look_after(self, child: Child, after_s: float) -> None:
        if child.state == "dead":
            return
        await asyncio.sleep(after_s)
        try:
            pulse = await self._company.pulse(child.role.name, self._discipline.patience_s)
        except TimeoutError:
            self._on_silence(child)
        except LLMError:
            self._on_death(child)
        else:
            self._on_pulse(child, pulse)

    def _on_pulse(self, child: Child, pulse: Pulse) -> None:
        now_s = self._clock.monotonic_s()
        child.strikes = 0
        if child.pid is not None and child.pid != pulse.pid:
            self._on_restart(child, now_s)
        child.pid, child.pulse = pulse.pid, pulse
        if child.state == "dead":
            return
        if pulse.healthy:
            child.become("alive", now_s)
        else:
            child.become("starting" if pulse.detail == "starting" else "degraded", now_s, pulse.detail)

    def _on_silence(self, child: Child) -> None:
        now_s = self._clock.monotonic_s()
        if child.state == "starting" and now_s - child.changed_s < self._discipline.start_limit_s:
            return  # its process is being started, or loads a model and has no time for us
        child.strikes += 1
        if child.strikes < self._discipline.strikes:
            return
        self._chronicle.note(child.role.name, "replaced", "it did not answer its probes")
        # Of a process that has never answered, only Ray knows which one it is.
        last, child.pulse, child.strikes = child.pulse, None, 0
        child.become("restarting", now_s, "it did not answer its probes")
        self._company.replace(child.role.name, last)

    def _on_death(self, child: Child) -> None:
        now_s = self._clock.monotonic_s()
        child.pulse = None
        if child.state != "restarting":
            child.become("restarting", now_s, "its process ended")
        elif now_s - child.changed_s > self._discipline.recreate_after_s:
            self._chronicle.note(child.role.name, "created again", "it did not come back by itself")
            child.changed_s = now_s
            self._company.raise_actor(child.role)

    def _on_restart(self, child: Child, now_s: float) -> None:
        child.restarts += 1
        why = child.last_reason or "its process ended"
        self._chronicle.note(child.role.name, "restarted", f"{why} (restart {child.restarts})")
        if child.is_restarted_by_us:  # with another, which has had its consequences
            child.is_restarted_by_us = False
        elif child.intensity.note(now_s):
            self._restart_others(child, now_s)
        else:
            reason = f"{child.intensity.recent} restarts in {self._discipline.window_s:.0f} s"
            self._chronicle.note(child.role.name, "given up", reason, logging.ERROR)
            child.become("dead", now_s, f"given up after {reason}")
            self._company.dismiss(child.role.name)

    def _restart_others(self, failed: Child, now_s: float) -> None:
        """Starts those anew that its group's strategy names."""
        is_backend = failed.role.kind == "backend"
        group = {child.role.name: child for child in self._children if (child.role.kind == "backend") == is_backend}
        strategy = self._discipline.backends if is_backend else self._discipline.control
        for name in also_restarted(list(group), failed.role.name, strategy):
            child = group[name]
            if child.state != "dead":
                last, child.pulse, child.is_restarted_by_us = child.pulse, None, True
                reason = f"{failed.role.name} was restarted"
                self._chronicle.note(name, "restarted with it", reason)
                child.become("restarting", now_s, reason)
                self._company.replace(name, last)

    def _note_breakers(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        for name in sorted(now.keys() - before.keys()):
            self._chronicle.note(f"backend:{name}", "breaker opened", f"its calls failed at {now[name]}")
        for name in sorted(before.keys() - now.keys()):
            self._chronicle.note(f"backend:{name}", "breaker closed", "it answers again")

    async def _tell_router(self) -> None:
        backends = {
            child.role.name.removeprefix("backend:"): child for child in self._children if child.role.kind == "backend"
        }
        holders = self._breakers.holders
        breakers: dict[str, BreakerState] = {
            name: "open" if child.is_unfit or name in holders else "closed" for name, child in backends.items()
        }
        trials = {name: None if child.is_unfit else holders.get(name) for name, child in backends.items()}
        leases = {name: child.pulse.gauges.get(LEASE_VERSION, 0) for name, child in backends.items() if child.pulse}
        router = next((child.pulse for child in self._children if child.role.kind == "router"), None)
        news = (router.pid if router else None, breakers, trials, leases)
        async with self._telling:
            await self._tell(news, breakers, trials, leases)

    async def _tell(
        self,
        news: object,
        breakers: Mapping[str, BreakerState],
        trials: Mapping[str, str | None],
        leases: Mapping[str, float],
    ) -> None:
        if news == self._told:
            return
        try:
            await self._company.set_breakers(breakers, trials)
            await self._company.note_leases(leases)
            if self._draining:
                await self._company.drain()
        except LLMError as error:  # told again in the next round
            log.debug("the router was not told: %s", error)
        else:
            self._told = news


_DRAIN_LOOK_S = 0.05
