"""How does a replica reach the control plane, and how does it learn where its front really listens?"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray import serve

from actors.edge.ray_ports import BackendPort, OptimizerPort, RouterPort, SupervisorPort, TracerPort
from actors.edge.ray_stage import Stage, raise_root
from actors.ensembling.quality import Quality
from actors.protocol.columns import Written
from actors.protocol.errors import LLMError
from actors.protocol.messages import CompanyStatus, Feedback, JsonObject, Pulse, Role
from actors.protocol.patterns import Comparison, Trial
from actors.protocol.ratings import Verdict
from actors.routing.shares import Grant, Renewal
from actors.routing.table import RoutingTable
from actors.tracing.sums import Batch


class ReplicaLinks:
    """The `Links` of a replica over Ray."""

    def __init__(self, stage: Stage, root: Role, edition: str) -> None:
        self._edition = edition
        self.namespace = stage.namespace
        self.address: str = ray.get_runtime_context().gcs_address
        self._stage = stage
        self._root = root
        self._router = RouterPort(stage.namespace)
        self._optimizer = OptimizerPort(stage.namespace)
        self._tracer = TracerPort(stage.namespace)
        self._supervisor = SupervisorPort(stage.namespace)
        self._backends: dict[str, BackendPort] = {}

    async def raise_root(self) -> None:
        await raise_root(self._stage, self._root, self._edition)

    async def newer_table(self, known_version: int, wait_s: float) -> RoutingTable | None:
        return await self._router.newer_table(known_version, wait_s)

    async def announce(self, pulse: Pulse, timeout_s: float) -> CompanyStatus:
        return await self._supervisor.announce(pulse, timeout_s)

    async def renew(self, backend: str, renewal: Renewal) -> Grant:
        port = self._backends.get(backend)
        if port is None:
            port = self._backends[backend] = BackendPort(backend, self.namespace)
        return await port.renew(renewal)

    async def record_decisions(self, records: Written) -> None:
        await self._optimizer.record(records)

    async def trace(self, batch: Batch) -> None:
        await self._tracer.record(batch)

    async def feedback(self, feedback: Feedback) -> JsonObject:
        return await self._optimizer.feedback(feedback)

    async def optimizer_report(self) -> JsonObject:
        return await self._optimizer.report()

    async def export_learning(self) -> JsonObject:
        return await self._optimizer.export_learning()

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> int:
        return await self._optimizer.import_learning(learned)

    def compare(self, comparison: Comparison) -> None:
        with contextlib.suppress(LLMError):  # one of a sample
            self._optimizer.compare([comparison])

    async def reset_learning(self) -> None:
        await self._optimizer.reset_learning()

    async def errors(self) -> JsonObject:
        return await self._tracer.errors()

    async def performance_report(self, recent: int) -> JsonObject:
        return await self._tracer.report(recent)

    async def usage(self, day: str | None) -> JsonObject:
        return await self._tracer.usage(day)

    async def note_quality(self, scored: Sequence[Quality]) -> None:
        await self._tracer.note_quality(scored)

    async def lend(self, holder: str, held_usd: Mapping[str, float]) -> Mapping[str, float]:
        return await self._tracer.lend(holder, held_usd)

    async def explain(self, request_id: str) -> JsonObject | None:
        return await self._tracer.explain(request_id)

    async def metrics(self) -> JsonObject:
        return await self._tracer.metrics()


async def bound_host() -> str:
    """The host that Ray Serve's front really listens on; asked inside a replica."""
    controller: Any = ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")  # Serve has no public way to ask
    return str((await controller.get_http_config.remote()).host)


def replica_id() -> str:
    """This replica's id within its deployment, as Serve gave it."""
    return serve.get_replica_context().replica_id.unique_id
