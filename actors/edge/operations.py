"""How does the tracer learn what a process of the company does beside requests?"""

import asyncio
from typing import Protocol, runtime_checkable

from actors.protocol.errors import LLMError
from actors.tracing.recorder import Operations
from actors.tracing.spans import performance_tracer

TOLD_EVERY_S = 3.0  # a telling costs a millisecond or two on both sides


@runtime_checkable
class OperationsPort(Protocol):
    """Who collects."""

    async def note_operations(self, operations: Operations) -> None: ...


async def tell_operations_forever(collector: OperationsPort, every_s: float = TOLD_EVERY_S) -> None:
    """Sends the sums of this process. What a collector that is away has missed is told when it is back."""
    untold: Operations | None = None
    while True:
        await asyncio.sleep(every_s)
        untold = untold or performance_tracer.collect()
        if untold is None:
            continue
        try:
            await collector.note_operations(untold)
        except LLMError:
            continue
        untold = None


def begin_to_tell(collector: OperationsPort | None) -> "asyncio.Task[None] | None":
    """Switches tracing on in this process and begins to tell the collector; without one, switches it off."""
    performance_tracer.configure(enabled=collector is not None)
    if collector is None:
        return None
    return asyncio.create_task(tell_operations_forever(collector), name="that tells what it does")
