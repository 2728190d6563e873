"""Which backends does this replica leave alone, by its own experience and by that of the others?"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import Attempt
from actors.resilience.breaker import Breaker, BreakerPolicy
from actors.routing.table import BackendRecord, BreakerState, RoutingTable

USUAL = BreakerPolicy()
SHORTEST_TIMER_S = 0.001  # the event loop counts in milliseconds
Later = Callable[[float, Callable[[], None]], object]


class Breakers:
    """The breakers of one replica, `replica`. What they say stands in the routing table that requests are played on.

    So an open breaker costs a request nothing, and one that never failed is not even there. `later` calls something
    after so many seconds; `on_change` is called when a table must be made anew by `applied`.
    """

    def __init__(self, replica: str, policy: BreakerPolicy = USUAL, clock: Clock = SYSTEM_CLOCK) -> None:
        self._replica = replica
        self._policy = policy
        self._clock = clock
        self._suspects: dict[str, Breaker] = {}
        self.later: Later = lambda _, __: None
        self.on_change: Callable[[], None] = lambda: None

    @property
    def shut(self) -> frozenset[str]:
        """The backends that this replica has shut by its own experience."""
        return frozenset(name for name, breaker in self._suspects.items() if breaker.is_open)

    def note(self, attempt: Attempt, failures: int | None = None) -> None:
        """Takes note of how a call ended; `failures` open this backend's breaker, not as many as the policy says.

        0: nothing does.
        """
        breaker = self._suspects.get(attempt.backend)
        if breaker is None:
            if attempt.outcome == "ok" or attempt.outcome == "cancelled" or failures == 0:
                return
            policy = self._policy if failures is None else replace(self._policy, failures=failures)
            breaker = self._suspects[attempt.backend] = Breaker(policy, self._clock)
        was_trying = breaker.is_trying
        changed = breaker.note(attempt.outcome)
        if breaker.is_quiet:
            del self._suspects[attempt.backend]
        if changed and breaker.is_open:
            self.later(breaker.pause_s, partial(self._rouse, breaker))
        if changed or was_trying:
            self.on_change()

    def _rouse(self, breaker: Breaker) -> None:
        """Lets a call through once the pause is over. A timer may fire a little before that: it is set again."""
        if (left_s := breaker.pause_left_s) > 0:
            self.later(max(left_s, SHORTEST_TIMER_S), partial(self._rouse, breaker))
        else:
            self.on_change()

    def begin(self, backend: BackendRecord) -> None:
        """To be called before a call to a backend that is half open: until it has ended, no other is let through."""
        breaker = self._suspects.get(backend.name)
        if breaker is not None and breaker.is_half_open:
            breaker.is_trying = True
            self.on_change()

    def applied(self, table: RoutingTable) -> RoutingTable:
        """The table with each breaker in the state that holds for this replica now."""
        states = {name: self._state(record) for name, record in table.backends.items()}
        changed = {name: state for name, state in states.items() if state != table.backends[name].breaker}
        if not changed:
            return table
        own = {name: replace(table.backends[name], breaker=state) for name, state in changed.items()}
        return replace(table, backends={**table.backends, **own})

    def _state(self, record: BackendRecord) -> BreakerState:
        own = self._suspects.get(record.name)
        if record.breaker == "open" and record.trial not in (None, self._replica):
            if own is not None and own.is_open:  # somebody else tries it: what we have seen counts no more
                del self._suspects[record.name]
            return "open"
        is_ours = record.breaker == "closed" or record.trial == self._replica
        if not is_ours:
            return "open"
        if own is None or not own.is_open:
            return "closed"
        return "half_open" if own.is_half_open else "open"
