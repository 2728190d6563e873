"""Should somebody else be asked as well, because the first one is slower than it usually is?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from actors.orchestrating.ending import all_ended
from actors.protocol.messages import Failure
from actors.routing.table import ModelRecord, RoutingTable

T = TypeVar("T")

SAVED_AT_MOST = 10.0  # hedges that quiet times may save up


class Hedges:
    """How many more requests may be hedged: a share of them, `hedge_share_01`, per model.

    Source: Dean and Barroso 2013, "The Tail at Scale", CACM 56(2): a second request after the 95th percentile.
    """

    def __init__(self) -> None:
        self._saved: dict[str, float] = {}

    def after_s(self, model: ModelRecord, first: str, table: RoutingTable) -> float | None:
        """Seconds after which another member should be asked too; `None` where that is not wanted or not affordable.

        To be called once for each request to the model, with the member that is asked first.
        """
        if model.hedge_share_01 <= 0:
            return None
        saved = min(SAVED_AT_MOST, self._saved.get(model.name, 1.0) + model.hedge_share_01)
        self._saved[model.name] = saved
        backend = table.backends.get(first)
        p95_ms = backend.measured.p95_ms if backend is not None else None
        return None if p95_ms is None or saved < 1.0 else p95_ms / 1000

    def spend(self, model: ModelRecord) -> None:
        """To be called when another member is really asked."""
        self._saved[model.name] = self._saved.get(model.name, 1.0) - 1.0


async def hedged(
    ask: Callable[[str], Awaitable[T | Failure]], first: str, spare: Callable[[], str | None], after_s: float
) -> list[tuple[str, T | Failure]]:
    """What became of `first` and, if that took longer than `after_s` seconds, of a spare one: failures, or one success.

    The success, if there is one, is the last; whoever then still runs is cancelled before this returns.
    """
    names = {asyncio.create_task(_awaited(ask(first))): first}
    found: list[tuple[str, T | Failure]] = []
    try:
        await asyncio.wait(names, timeout=after_s)
        running = {task for task in names if not task.done()}
        if running and (name := spare()) is not None:
            another = asyncio.create_task(_awaited(ask(name)))
            names[another] = name
        running = set(names)
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=list(names).index):
                found.append((names[task], task.result()))
                if not isinstance(task.result(), Failure):
                    return found
        return found
    finally:
        await all_ended(names)
        await _close_losers([task.result() for task in names if not task.cancelled()], found)


async def _awaited(step: Awaitable[T]) -> T:
    return await step


async def _close_losers(results: Sequence[object], found: Sequence[tuple[str, object]]) -> None:
    """Streams that were opened in vain."""
    taken = [one for _, one in found]
    for one in results:
        close = getattr(getattr(one, "chunks", None), "aclose", None)
        if close is not None and not any(one is other for other in taken):
            await close()
