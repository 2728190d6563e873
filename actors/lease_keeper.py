"""LeaseKeeper: renews this replica's shares at the backends' actors in the background; a part of each replica."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from actors.orchestrating.holdings import Holding, Holdings
from actors.protocol.errors import LLMError
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.routing.shares import Grant, Renewal

log = logging.getLogger("troupe.leases")

LONGEST_PAUSE_S = 1.0
SHORTEST_PAUSE_S = 0.02  # renewals that fall due within it go out together

Renew = Callable[[str, Renewal], Awaitable[Grant]]


class LeaseKeeper:
    """Keeps holdings renewed: one message per backend in use and second, whatever the number of requests.

    `renew` asks a backend's actor by the backend's name; it raises errors of the `LLMError` tree.
    """

    def __init__(self, holdings: Holdings, renew: Renew) -> None:
        self._holdings = holdings
        self._renew = renew
        self._urgent = asyncio.Event()
        holdings.on_urgent = self._urgent.set

    async def keep_forever(self) -> None:
        """Renews what is due, and sooner where calls begin to queue. Ends when it is cancelled."""
        async with asyncio.TaskGroup() as renewals:
            while True:
                self._holdings.age()
                for holding in self._holdings.due():
                    renewals.create_task(self._renew_one(holding))
                await self._pause()

    async def _pause(self) -> None:
        self._urgent.clear()
        pause_s = max(SHORTEST_PAUSE_S, self._holdings.next_due_in_s(LONGEST_PAUSE_S))
        try:
            async with asyncio.timeout(min(pause_s, LONGEST_PAUSE_S)):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _renew_one(self, holding: Holding) -> None:
        renewal = holding.renewal()
        try:
            grant = await self._renew(holding.backend, renewal)
        except LLMError as error:
            log.debug("the share of '%s' is not renewed: %s", holding.backend, error)
            holding.miss()
        except Exception as error:  # a bug in one renewal must not end all others
            error_aggregator.record(handle_error(error, "backend", "renew"), "backend", "renew")
            log.exception("the share of '%s' could not be renewed", holding.backend)
            holding.miss()
        else:
            holding.accept(grant)
        self._urgent.set()  # it may be due again before anything else
