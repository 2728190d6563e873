"""Which requests may feedback speak of, and is one that it speaks of still on its way?"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from actors.optimizing.journal import OUTCOMES_KEPT
from actors.protocol.errors import Overloaded

MAX_WAITING: Final = 1_000


@dataclass(slots=True)
class Awaited:
    """A request that feedback spoke of before it was recorded, and how many wait for it."""

    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class KnownRequests:
    """The ids of the last 10,000 recorded requests, and who waits for others."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = (
            OrderedDict()
        )  # in the order of recording; what the journal evicts is forgotten here, too
        self._awaited: dict[str, Awaited] = {}

    @property
    def awaited(self) -> int:
        """How many requests are waited for."""
        return len(self._awaited)

    def replace(self, request_ids: Iterable[str]) -> None:
        """Knows these from now on, oldest first, and no others."""
        self._known = OrderedDict.fromkeys(request_ids)

    def add(self, request_id: str) -> None:
        """Takes in a request that was recorded, and tells those who wait for it."""
        self._known[request_id] = None
        if awaited := self._awaited.get(request_id):
            awaited.recorded.set()
        while len(self._known) > OUTCOMES_KEPT:
            self._known.popitem(last=False)

    async def wait_for(self, request_id: str, patience_s: float) -> bool:
        """Whether the request is known, or gets known in time. Raises `Overloaded` where too many are waited for."""
        if request_id in self._known:
            return True
        with self._awaiting(request_id) as awaited:
            try:
                async with asyncio.timeout(patience_s):
                    await awaited.recorded.wait()
            except TimeoutError:
                return False
        return True

    @contextmanager
    def _awaiting(self, request_id: str) -> Iterator[Awaited]:
        if request_id not in self._awaited and len(self._awaited) >= MAX_WAITING:
            raise Overloaded("Too much feedback waits for requests that are not known yet.", retry_after_s=1.0)
        awaited = self._awaited.setdefault(request_id, Awaited())
        awaited.waiting += 1
        try:
            yield awaited
        finally:
            awaited.waiting -= 1
            if not awaited.waiting:
                self._awaited.pop(request_id, None)
