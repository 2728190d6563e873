"""How are the actors of one gateway created, probed, replaced and ended on a Ray cluster?"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.edge.ray_ports import (
    SUPERVISOR,
    OptimizerPort,
    Remote,
    RouterPort,
    TracerPort,
    backend_actor,
    translated,
)
from actors.protocol.errors import LLMError, SupervisorError
from actors.protocol.messages import Pulse, Role
from actors.routing.table import BreakerState, Lease, Measured


@dataclass(frozen=True, slots=True)
class Stage:
    """Creates, probes, replaces and ends actors on one Ray cluster; what the supervisor acts through."""

    namespace: str
    node_id: str | None

    def raise_actor(self, role: Role) -> None:
        """Creates the actor unless it exists: named, detached, always restarted, on the node of the state file."""
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
        ray.remote(living(role.plain)).options(**options).remote(*role.arguments)

    async def pulse(self, name: str, patience_s: float) -> Pulse:
        """The actor's answer to a probe. Raises `TimeoutError` for a hung one, `SupervisorError` for a dead one."""
        reference = Remote(name, self.namespace).handle().pulse.remote()
        try:
            async with asyncio.timeout(patience_s):
                pulse: Pulse = await reference
        except RayError as error:
            raise translated(error, name) from None
        return pulse

    async def set_breakers(self, breakers: Mapping[str, BreakerState]) -> None:
        """Tells the router which backends may be called."""
        await RouterPort(self.namespace).set_breakers(breakers)

    async def drain(self) -> None:
        """Tells every replica, through the router's table, to refuse new requests."""
        await RouterPort(self.namespace).drain()

    def replace(self, name: str, pid: int | None, node: str | None) -> None:
        """Kills the actor's process; Ray starts it again under the same name and handles.

        A signal is quicker (2 s until it is back, against 6 s), but reaches only this machine.
        """
        if pid is not None and node == socket.gethostname():
            os.kill(pid, signal.SIGKILL)
        else:
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

    async def lease(self, backend: str) -> Lease | None:
        lease: Lease | None = await Remote(backend_actor(backend), self.stage.namespace).call("lease")
        return lease

    async def supervisor_pulse(self, patience_s: float) -> Pulse:
        return await self.stage.pulse(SUPERVISOR, patience_s)

    def replace_supervisor(self, pid: int | None, node: str | None) -> None:
        self.stage.replace(SUPERVISOR, pid, node)


def retire(namespace: str, drain_within_s: float) -> None:
    """Drains the gateway, then ends its actors, the root last. Blocks; a gateway without a root has ended already."""
    try:
        root = Remote(SUPERVISOR, namespace).handle()
        ray.get(root.drain.remote(drain_within_s), timeout=drain_within_s + 5)
        ray.get(root.stop.remote(), timeout=15)
        ray.kill(root, no_restart=True)
    except (RayError, LLMError) as error:
        raise translated(error, SUPERVISOR) from None


def living(plain: type) -> type:
    """The plain class with a constructor that also starts its life; Ray runs it again at each restart."""

    class Living(plain):  # type: ignore[misc]
        async def __init__(self, *arguments: object) -> None:  # type: ignore[misc]  # Ray awaits constructors
            super().__init__(*arguments)
            await self.start()

    Living.__name__ = Living.__qualname__ = plain.__name__
    Living.__doc__ = plain.__doc__
    return Living


def end_self() -> None:
    """Ends the calling actor for good: Ray does not restart what was killed on purpose."""
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
