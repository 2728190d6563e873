"""How are the actors of one gateway created, probed, replaced and ended on a Ray cluster?"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.edge.log_lines import log_as_lines
from actors.edge.operations import OperationsPort, begin_to_tell
from actors.edge.ray_ports import (
    SUPERVISOR,
    OptimizerPort,
    Remote,
    RouterPort,
    TracerPort,
    backend_actor,
    translated,
)
from actors.edge.vitals import this_machine
from actors.protocol.errors import LLMError, SupervisorError
from actors.protocol.messages import Pulse, Role
from actors.protocol.outlook import Outlook
from actors.protocol.patterns import Gains
from actors.protocol.predictions import Predictions
from actors.protocol.ratings import Rating
from actors.protocol.trust import Trust
from actors.routing.table import BreakerState, Lease, Measured

NICENESS = 10  # of the actors: no request waits for the control plane, so it should not wait behind it


@dataclass(frozen=True, slots=True)
class Stage:
    """Creates, probes, replaces and ends actors on one Ray cluster; what the supervisor acts through."""

    namespace: str
    node_id: str | None
    tracing: bool = True

    def raise_actor(self, role: Role) -> None:
        """Creates the actor unless it exists: named, detached, always restarted, on the node of the state file.

        Raises `SupervisorError` when Ray refuses.
        """
        options: dict[str, Any] = {
            "name": role.name,
            "namespace": self.namespace,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": -1,
            "num_cpus": 0,
            "max_concurrency": 10_000,
        }
        if self.node_id is not None:
            # A backend may live elsewhere once its node is gone; what holds state may not.
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(self.node_id, soft=role.kind == "backend")
        try:
            ray.remote(living(role.plain, self, role.name)).options(**options).remote(*role.arguments)
        except (RayError, RuntimeError, ValueError) as error:
            raise SupervisorError(f"'{role.name}' could not be created ({type(error).__name__}).") from error

    async def pulse(self, name: str, patience_s: float) -> Pulse:
        """The actor's answer to a probe. Raises `TimeoutError` for a hung one, `SupervisorError` for a dead one."""
        reference = Remote(name, self.namespace).handle().pulse.remote()
        try:
            async with asyncio.timeout(patience_s):
                pulse: Pulse = await reference
        except RayError as error:
            raise translated(error, name) from None
        return pulse

    async def set_breakers(self, breakers: Mapping[str, BreakerState], trials: Mapping[str, str | None]) -> None:
        """Tells the router which backends may be called, and who tries those that a replica has shut."""
        await RouterPort(self.namespace).set_breakers(breakers, trials)

    async def note_leases(self, versions: Mapping[str, float]) -> None:
        """Tells the router which leases have changed."""
        await RouterPort(self.namespace).note_leases(versions)

    async def drain(self) -> None:
        """Tells every replica, through the router's table, to refuse new requests."""
        await RouterPort(self.namespace).drain()

    def replace(self, name: str, last: Pulse | None) -> None:
        """Kills the actor's process; Ray starts it again under the same name and handles.

        A signal is quicker (2 s until it is back, against 6 s), but reaches only this machine, and must only go to the
        present process: `last` is its last pulse, `None` if it never answered.
        """
        if last is not None and last.machine is not None and last.machine == this_machine():
            with contextlib.suppress(OSError):
                os.kill(last.pid, signal.SIGKILL)
                return
        ray.kill(Remote(name, self.namespace).handle(), no_restart=False)

    async def stop(self, name: str, patience_s: float) -> None:
        """Lets the actor put its affairs in order, then ends it for good."""
        with contextlib.suppress(LLMError):
            await Remote(name, self.namespace).call("stop", timeout_s=patience_s)
        self.dismiss(name)

    def dismiss(self, name: str) -> None:
        """Ends the actor for good; nothing happens if there is none."""
        try:
            ray.kill(Remote(name, self.namespace).handle(), no_restart=True)
        except SupervisorError:
            return


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the router learns what it publishes."""

    stage: Stage

    async def measured(self) -> Mapping[str, Measured]:
        return await TracerPort(self.stage.namespace).measured()

    async def weights(self) -> Mapping[str, Mapping[str, float]]:
        return await OptimizerPort(self.stage.namespace).weights()

    async def trust(self) -> Mapping[str, Mapping[str, Trust]]:
        return await OptimizerPort(self.stage.namespace).trust()

    async def ratings(self) -> Mapping[str, Mapping[str, Rating]]:
        return await OptimizerPort(self.stage.namespace).ratings()

    async def gains(self) -> Gains:
        return await OptimizerPort(self.stage.namespace).gains()

    async def predictions(self, known_version: int) -> tuple[int, Predictions | None] | None:
        return await OptimizerPort(self.stage.namespace).predictions(known_version)

    async def lease(self, backend: str) -> Lease:
        lease: Lease = await Remote(backend_actor(backend), self.stage.namespace).call("lease")
        return lease

    def show_outlook(self, outlook: Outlook) -> None:
        with contextlib.suppress(LLMError):  # a tracer that is away gets the next one
            TracerPort(self.stage.namespace).note_outlook(outlook)

    async def supervisor_pulse(self, patience_s: float) -> Pulse:
        return await self.stage.pulse(SUPERVISOR, patience_s)

    def replace_supervisor(self, last: Pulse | None) -> None:
        self.stage.replace(SUPERVISOR, last)


def retire(namespace: str, drain_within_s: float) -> None:
    """Drains the gateway, then ends its actors, the root last. Blocks; what does not answer is passed over."""
    try:
        root = Remote(SUPERVISOR, namespace).handle()
    except SupervisorError:
        return
    with contextlib.suppress(RayError, LLMError):
        ray.get(root.drain.remote(drain_within_s), timeout=drain_within_s + 5)
    with contextlib.suppress(RayError, LLMError):
        ray.get(root.stop.remote(), timeout=15)
    ray.kill(root, no_restart=True)


async def raise_root(stage: Stage, root: Role, edition: str) -> None:
    """Creates the root actor. One that another deployment left behind is ended first, with all its children."""
    stage.raise_actor(root)
    found = await Remote(SUPERVISOR, stage.namespace).call("edition", timeout_s=30.0)
    if _is_older(str(found), edition):
        await Remote(SUPERVISOR, stage.namespace).call("stop", timeout_s=30.0)
        stage.dismiss(SUPERVISOR)
        await asyncio.sleep(1.0)  # until its name is free
        stage.raise_actor(root)


def _is_older(found: str, own: str) -> bool:
    """Whether a company's edition (`built-at fingerprint`) is of an earlier and different configuration."""
    found_at, _, found_print = found.partition(" ")
    own_at, _, own_print = own.partition(" ")
    return found_print != own_print and found_at < own_at


def living(plain: type, stage: Stage, name: str) -> type:
    """The plain class with a constructor that also starts its life as that actor; Ray runs it again at each restart.

    Its process gives way to those that carry requests. The tracer is told what it does.
    """

    class Living(plain):  # type: ignore[misc]
        async def __init__(self, *arguments: object) -> None:  # type: ignore[misc]  # Ray awaits constructors
            log_as_lines(name)
            super().__init__(*arguments)
            os.nice(NICENESS)
            collector = self if isinstance(self, OperationsPort) else TracerPort(stage.namespace)
            self._operations_teller = begin_to_tell(collector if stage.tracing else None)
            await self.start()

    Living.__name__ = Living.__qualname__ = plain.__name__
    Living.__doc__ = plain.__doc__
    return Living


def end_self() -> None:
    """Ends the calling actor for good: Ray does not restart what was killed on purpose."""
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
