"""How do parts of the company reach each other over Ray? The only module with `.remote(` and `ray.get_actor`.

Every call raises errors of our tree only: what an actor raised comes out as it went in, what Ray raises is translated.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError, TaskCancelledError

from actors.ensembling.quality import Quality
from actors.protocol.columns import Written
from actors.protocol.errors import BackendError, BackendUnavailable, LLMError, SupervisorError
from actors.protocol.messages import (
    Call,
    Chunk,
    CompanyStatus,
    Completion,
    Feedback,
    JsonObject,
    Pulse,
)
from actors.protocol.outlook import Outlook
from actors.protocol.patterns import Comparison, Gains, Trial
from actors.protocol.predictions import Predictions
from actors.protocol.ratings import Rating, Verdict
from actors.protocol.sending import Packed
from actors.protocol.trust import Trust
from actors.routing.shares import Grant, Renewal
from actors.routing.table import BreakerState, Measured, RoutingTable
from actors.tracing.recorder import Operations
from actors.tracing.sums import Batch

SUPERVISOR, ROUTER, OPTIMIZER, TRACER = "supervisor", "router", "optimizer", "tracer"


def backend_actor(backend: str) -> str:
    """The Ray name of a backend's actor."""
    return f"backend:{backend}"


def translated(error: BaseException, name: str, *, as_backend: bool = False) -> LLMError:
    """Our error for whatever a remote call raised. The text of a remote error is a traceback: it is never passed on."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, LLMError):
        return cause
    kind: type[LLMError] = BackendUnavailable if as_backend else SupervisorError
    backend = name if as_backend else None
    if isinstance(error, RayActorError):
        return kind(f"The process of '{name}' has ended; it is being restarted.", backend)
    if isinstance(error, TimeoutError | GetTimeoutError):
        return kind(f"'{name}' did not answer in time.", backend)
    if isinstance(error, RayTaskError):
        failure = BackendError if as_backend else SupervisorError
        return failure(f"'{name}' failed with {type(cause).__name__}.", backend)
    return kind(f"'{name}' could not be reached ({type(error).__name__}).", backend)


class Remote:
    """A named actor, found when first needed and found again after it was replaced."""

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self._handle: Any = None

    def handle(self) -> Any:
        """The Ray handle. Raises `SupervisorError` if no such actor exists."""
        if self._handle is None:
            try:
                self._handle = ray.get_actor(self.name, namespace=self.namespace)
            except (ValueError, RuntimeError, RayError):
                raise SupervisorError(f"There is no actor '{self.name}' in namespace '{self.namespace}'.") from None
        return self._handle

    async def call(self, method: str, *arguments: object, timeout_s: float = 5.0) -> Any:
        """The method's result. Raises errors of our tree; a call that is given up is cancelled in the actor, too."""
        reference = None
        try:
            reference = getattr(self.handle(), method).remote(*arguments)
            async with asyncio.timeout(timeout_s):
                return await reference
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except (RayError, TimeoutError, LLMError) as error:
            if isinstance(error, TimeoutError):
                ray.cancel(reference)
            self.forget_if_gone(error)
            raise translated(error, self.name) from None

    def send(self, method: str, *arguments: object) -> None:
        """Calls without waiting; nobody learns what became of it."""
        getattr(self.handle(), method).remote(*arguments)

    def forget_if_gone(self, error: BaseException) -> None:
        """Drops the handle of an actor that has ended, since a successor gets a new one."""
        if isinstance(error, RayActorError):
            self._handle = None


class RouterPort(Remote):
    def __init__(self, namespace: str) -> None:
        super().__init__(ROUTER, namespace)

    async def newer_table(self, known_version: int, wait_s: float) -> RoutingTable | None:
        table: RoutingTable | None = await self.call("newer_table", known_version, wait_s, timeout_s=wait_s + 5)
        return table

    async def drain(self) -> None:
        await self.call("drain")

    async def set_breakers(self, breakers: Mapping[str, BreakerState], trials: Mapping[str, str | None]) -> None:
        await self.call("set_breakers", dict(breakers), dict(trials))

    async def note_leases(self, versions: Mapping[str, float]) -> None:
        await self.call("note_leases", dict(versions))


class OptimizerPort(Remote):
    def __init__(self, namespace: str) -> None:
        super().__init__(OPTIMIZER, namespace)

    async def record(self, outcomes: Written) -> None:
        await self.call("record", outcomes)

    async def feedback(self, feedback: Feedback) -> JsonObject:
        acknowledged: JsonObject = await self.call("feedback", feedback)
        return acknowledged

    async def weights(self) -> Mapping[str, Mapping[str, float]]:
        weights: Mapping[str, Mapping[str, float]] = await self.call("weights")
        return weights

    async def trust(self) -> Mapping[str, Mapping[str, Trust]]:
        trust: Mapping[str, Mapping[str, Trust]] = await self.call("trust")
        return trust

    async def ratings(self) -> Mapping[str, Mapping[str, Rating]]:
        ratings: Mapping[str, Mapping[str, Rating]] = await self.call("ratings")
        return ratings

    async def report(self) -> JsonObject:
        report: JsonObject = await self.call("report")
        return report

    async def export_learning(self) -> JsonObject:
        exported: JsonObject = await self.call("export_learning")
        return exported

    async def gains(self) -> Gains:
        gains: Gains = await self.call("gains")
        return gains

    async def predictions(self, known_version: int) -> tuple[int, Predictions | None] | None:
        newer: tuple[int, Predictions | None] | None = await self.call("predictions", known_version)
        return newer

    def compare(self, comparisons: Sequence[Comparison]) -> None:
        self.send("compare", comparisons)

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> int:
        imported: int = await self.call("import_learning", learned)
        return imported

    async def reset_learning(self) -> None:
        await self.call("reset_learning")


class TracerPort(Remote):
    def __init__(self, namespace: str) -> None:
        super().__init__(TRACER, namespace)

    async def record(self, batch: Batch) -> None:
        await self.call("record", Packed(batch))

    async def note_quality(self, scored: Sequence[Quality]) -> None:
        await self.call("note_quality", Packed(scored))

    def note_outlook(self, outlook: Outlook) -> None:
        self.send("note_outlook", Packed(outlook))

    async def note_operations(self, operations: Operations) -> None:
        await self.call("note_operations", Packed(operations))

    async def usage(self, day: str | None) -> JsonObject:
        usage: JsonObject = await self.call("usage", day)
        return usage

    async def lend(self, holder: str, held_usd: Mapping[str, float]) -> Mapping[str, float]:
        lent: Mapping[str, float] = await self.call("lend", holder, held_usd, timeout_s=2.0)
        return lent

    async def explain(self, request_id: str) -> JsonObject | None:
        found: JsonObject | None = await self.call("explain", request_id)
        return found

    async def metrics(self) -> JsonObject:
        metrics: JsonObject = await self.call("metrics")
        return metrics

    async def measured(self) -> Mapping[str, Measured]:
        measured: Mapping[str, Measured] = await self.call("measured")
        return measured

    async def report(self, recent: int) -> JsonObject:
        report: JsonObject = await self.call("report", recent)
        return report

    async def errors(self) -> JsonObject:
        errors: JsonObject = await self.call("errors")
        return errors


class SupervisorPort(Remote):
    def __init__(self, namespace: str) -> None:
        super().__init__(SUPERVISOR, namespace)

    async def announce(self, pulse: Pulse, timeout_s: float) -> CompanyStatus:
        status: CompanyStatus = await self.call("announce", pulse, timeout_s=timeout_s)
        return status


class BackendPort(Remote):
    def __init__(self, backend: str, namespace: str) -> None:
        super().__init__(backend_actor(backend), namespace)

    async def renew(self, renewal: Renewal) -> Grant:
        grant: Grant = await self.call("renew", renewal, timeout_s=2.0)
        return grant


class HostedModel:
    """A model whose weights live in its backend's actor; a `ModelPort`."""

    def __init__(self, backend: str, namespace: str) -> None:
        self._backend = backend
        self._remote = Remote(backend_actor(backend), namespace)

    async def complete(self, call: Call) -> Completion:
        reference = self._start("complete", call)
        try:
            completion: Completion = await reference
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except (RayError, LLMError) as error:
            raise self._failure(error) from None
        return completion

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        batches = self._start("stream", call, streaming=True)
        finished = False
        try:
            async for batch in batches:
                for chunk in await batch:
                    yield chunk
            finished = True
        except (RayError, LLMError) as error:
            finished = True
            raise self._failure(error) from None
        finally:
            if not finished:
                ray.cancel(batches)

    def _start(self, method: str, call: Call, *, streaming: bool = False) -> Any:
        try:
            bound = getattr(self._remote.handle(), method)
            return (bound.options(num_returns="streaming") if streaming else bound).remote(call)
        except (RayError, LLMError) as error:
            raise self._failure(error) from None

    def _failure(self, error: BaseException) -> LLMError:
        self._remote.forget_if_gone(error)
        if isinstance(error, TaskCancelledError):
            return BackendUnavailable(f"The call to '{self._backend}' was cancelled there.", self._backend)
        failure = translated(error, self._backend, as_backend=True)
        if isinstance(failure, SupervisorError):  # no such actor: as good as unavailable
            return BackendUnavailable(f"The process of '{self._backend}' is not running.", self._backend)
        return failure
