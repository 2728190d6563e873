"""May this request be paid for? What one replica holds of the budgets: reserved before a request, settled after."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

from actors.edge.expected_cost import Expectation
from actors.edge.gateway import ChatRequest
from actors.edge.turned_away import refused
from actors.edge.wishes import target_of
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError, Overloaded, QuotaExceeded
from actors.protocol.messages import DecisionRecord
from actors.routing.table import RoutingTable
from actors.tracing.budgets import KEY, MODEL
from actors.tracing.spans import trace_performance

log = logging.getLogger("troupe.purse")

RENEW_EVERY_S: Final = 1.0
USELESS_AFTER_S: Final = 50.0  # without a renewal; soon after, the slice is lent to others

Renew = Callable[[Mapping[str, float]], Awaitable[Mapping[str, float]]]
Flush = Callable[[], Awaitable[bool]]


class Purse:
    """Nobody waits for it: a request that its slice does not cover is refused at once."""

    def __init__(
        self,
        budgets: Collection[str],
        clock: Clock = SYSTEM_CLOCK,
        on_refused: Callable[[DecisionRecord], object] = lambda _: None,
    ) -> None:
        """`on_refused` gets the record of each request that is refused here."""
        self._on_refused = on_refused
        self._budgets = frozenset(budgets)
        self._clock = clock
        self._expectation = Expectation()
        self._held_usd: Mapping[str, float] | None = None
        self._renewed_s = clock.monotonic_s()
        self._spent_usd = dict.fromkeys(budgets, 0.0)  # since what is held was lent
        self._reserved_usd = dict.fromkeys(budgets, 0.0)
        self._reserved: dict[str, tuple[tuple[str, ...], float]] = {}  # by request

    @trace_performance("budgets")
    def reserve(self, request: ChatRequest, table: RoutingTable) -> None:
        """Sets aside what the request is expected to cost. Raises `QuotaExceeded`, and `Overloaded` without a slice."""
        names = tuple(self._concerned(request.key_name, request.model))
        if not names:
            return
        try:
            target = target_of(request, table)
        except LLMError:
            return  # it is refused later, and costs nothing
        expected_usd = self._expectation.cost_usd(request.body, target, table)
        if refusal := self._refusal(names, expected_usd):
            self._on_refused(refused(request, refusal, self._clock))
            raise refusal
        self._reserved[request.request_id] = (names, expected_usd)
        for name in names:
            self._reserved_usd[name] += expected_usd

    def settle(self, record: DecisionRecord) -> None:
        """Takes what a finished request has cost from what is held."""
        self.release(record.request_id)
        self._expectation.learn(record)
        for name in self._concerned(record.key_name, record.model):
            self._spent_usd[name] += record.cost_usd or 0.0

    def release(self, request_id: str) -> None:
        """Gives back what was set aside for a request. Safe to call again, and for any other."""
        names, amount_usd = self._reserved.pop(request_id, ((), 0.0))
        for name in names:
            self._reserved_usd[name] -= amount_usd
        if names and not self._reserved:
            self._reserved_usd = dict.fromkeys(self._budgets, 0.0)  # and no rounding error is left

    @trace_performance("budgets")
    async def renew(self, renew: Renew, flush: Flush) -> None:
        """Asks for a new slice, once the tracer knows what was spent of this one. Raises errors of our tree."""
        spent_usd = dict(self._spent_usd)
        if not await flush():
            return
        held_usd = self._held_usd or {}
        lent = await renew({name: max(0.0, held_usd.get(name, 0.0) - spent_usd[name]) for name in self._budgets})
        self._held_usd, self._renewed_s = lent, self._clock.monotonic_s()
        for name, amount_usd in spent_usd.items():
            self._spent_usd[name] -= amount_usd

    async def renew_forever(self, renew: Renew, flush: Flush) -> None:
        """Renews every second; while the tracer is away, what is held stays."""
        while True:
            try:
                await self.renew(renew, flush)
            except LLMError as error:
                log.debug("the budgets were not renewed: %s", error)
            await asyncio.sleep(RENEW_EVERY_S)

    def _refusal(self, names: Iterable[str], expected_usd: float) -> LLMError | None:
        held_usd = self._held_usd
        if held_usd is None or self._clock.monotonic_s() - self._renewed_s > USELESS_AFTER_S:
            return Overloaded("What is left of the budget is not known at the moment.", retry_after_s=RENEW_EVERY_S)
        needed_usd = max(expected_usd, 1e-12)
        for name in names:
            unspent_usd = held_usd.get(name, 0.0) - self._spent_usd[name]
            owner = name.partition(":")[2]
            if unspent_usd < needed_usd:
                return QuotaExceeded(
                    f"What is left today of the budget of '{owner}' does not cover this request; "
                    "a new day begins at 00:00 UTC."
                )
            if unspent_usd - self._reserved_usd[name] < needed_usd:
                return QuotaExceeded(
                    f"What is left today of the budget of '{owner}' is set aside for requests that are running.",
                    retry_after_s=RENEW_EVERY_S,
                )
        return None

    def _concerned(self, key: str | None, model: str) -> Iterable[str]:
        return (name for name in (f"{KEY}{key}", f"{MODEL}{model}") if name in self._budgets)
