"""How does the tracer learn what a process of the company does beside requests?"""

import asyncio
import inspect
from typing import Any, Protocol, runtime_checkable

from actors.protocol.errors import LLMError
from actors.tracing.recorder import Operations
from actors.tracing.spans import performance_tracer, trace_performance

TOLD_EVERY_S = 1.0
WAITING = frozenset({"newer_table", "pulse"})  # they wait on purpose, or are asked every second by design


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


def traced(plain: type, component: str) -> dict[str, Any]:
    """The public operations of an actor's class, as spans: to be set in a class that inherits from it."""
    return {
        name: trace_performance(component)(function)
        for name, function in inspect.getmembers(plain, inspect.isfunction)
        if not name.startswith("_")
        and name not in WAITING
        and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
    }
