"""May one more call run now, must it wait, or is it refused at once?"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from actors.protocol.errors import Overloaded
from actors.protocol.messages import Usage
from actors.resilience.rates import Rates

RETRY_AFTER_S = 1.0
LONGEST_RETRY_AFTER_S = 60.0
RATE_PATIENCE_S = 5.0  # whoever must wait longer for a rate is refused at once: another backend may answer now
SHORTEST_WAIT_S = 0.001


@dataclass(slots=True, eq=False)
class _Waiter:
    turn: "asyncio.Future[None]"
    tokens: int


class Gate:
    """At most `permits` calls to one backend at once, and at most `queue` more that wait, first come, first served.

    With `rates`, a call must also find a request and its tokens left. It belongs to one event loop. `name` is what
    messages call it; `on_queueing` is called for each call that cannot begin at once. `is_settled`: permits and rates
    are all that can be had; where more may come soon, nobody is refused for the sake of a rate.
    """

    def __init__(
        self,
        name: str,
        permits: int,
        queue: int,
        retry_after_s: float = RETRY_AFTER_S,
        rates: Rates | None = None,
        on_queueing: Callable[[], None] | None = None,
    ) -> None:
        if permits < 0 or queue < 0:
            raise ValueError(f"a gate has no negative permits or queue, not {permits} and {queue}")
        self.name = name
        self.queue = queue
        self.permits = permits
        self.rates = rates
        self.is_settled = True
        self.peak = 0  # most calls that ran or waited at once; whoever reads it sets it back
        self._on_queueing = on_queueing
        self._retry_after_s = retry_after_s
        self._taken = 0
        self._waiting: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Calls that hold a permit."""
        return self._taken

    @property
    def queued(self) -> int:
        """Calls that wait for one."""
        return len(self._waiting)

    @property
    def queued_tokens(self) -> int:
        """The tokens that waiting calls are expected to cost."""
        return sum(waiter.tokens for waiter in self._waiting)

    def resize(self, permits: int) -> None:
        """Changes how many may run at once; running calls beyond a smaller number finish undisturbed."""
        if permits < 0:
            raise ValueError(f"a gate has no negative permits, not {permits}")
        self.permits = permits
        self._admit()

    def try_enter(self, tokens: int = 0) -> bool:
        """Takes a permit if there is one now, and then true. Whoever entered must `leave`."""
        rates = self.rates
        if rates is not None:
            rates.note(tokens)
        taken = self._taken
        if taken >= self.permits or self._waiting or (rates is not None and not rates.take(tokens)):
            return False
        self._taken = taken = taken + 1
        if taken > self.peak:
            self.peak = taken
        return True

    async def wait(self, patience_s: float, tokens: int = 0) -> None:
        """Takes a permit when it is the caller's turn; for callers that `try_enter` did not let in.

        Raises `Overloaded` at once when the queue is full or the rate used up for longer than is worth a wait, and
        after `patience_s` of waiting in vain.
        """
        self.peak = max(self.peak, self._taken + len(self._waiting) + 1)
        if self._on_queueing is not None:
            self._on_queueing()
        if len(self._waiting) >= self.queue:
            raise self._refusal("is working at its limit", self._retry_after_s)
        if self.rates is not None and self.is_settled:
            wait_s = self.rates.wait_s(tokens, self.queued, self.queued_tokens)
            if wait_s > min(patience_s, RATE_PATIENCE_S):
                raise self._refusal("has used up its rate", min(wait_s, LONGEST_RETRY_AFTER_S))
        await self._wait(patience_s, tokens)

    async def enter(self, patience_s: float, tokens: int = 0) -> bool:
        """Takes a permit; true if that took waiting. Raises like `wait`."""
        if self.try_enter(tokens):
            return False
        await self.wait(patience_s, tokens)
        return True

    def leave(self) -> None:
        """Gives a permit back."""
        self._taken -= 1
        if self._waiting:
            self._admit()

    def correct(self, price: int, usage: Usage | None) -> None:
        """Charges the tokens that a call has really cost in the place of the `price` at which it entered."""
        if self.rates is not None:
            self.rates.correct(price, usage)

    async def _wait(self, patience_s: float, tokens: int) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), tokens)
        self._waiting.append(waiter)
        entered = False
        try:
            self._admit()  # sets the clock for whoever waits for a rate
            async with asyncio.timeout(patience_s):
                await waiter.turn
            entered = True
        except TimeoutError:
            raise self._refusal("had no room in time", self._retry_after_s) from None
        finally:
            if not entered:
                self._give_up(waiter)

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            self._admit()
        elif waiter.turn.done() and not waiter.turn.cancelled():  # the permit came in the same moment: the next has it
            self.leave()
        else:
            self._admit()

    def _admit(self) -> None:
        """Lets in who waits, as far as there is room, and comes back when the first one's rate is there."""
        while self._waiting and self._taken < self.permits:
            waiter = self._waiting[0]
            if not waiter.turn.done():
                if self.rates is not None and not self.rates.take(waiter.tokens):
                    self._admit_in(self.rates.wait_s(waiter.tokens))
                    return
                self._taken += 1
                waiter.turn.set_result(None)
            self._waiting.popleft()

    def _admit_in(self, wait_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s != float("inf"):  # a rate of 0 changes when the gate is resized
            self._timer = asyncio.get_running_loop().call_later(max(wait_s, SHORTEST_WAIT_S), self._admit)

    def _refusal(self, what: str, retry_after_s: float) -> Overloaded:
        message = f"'{self.name}' {what} ({self._taken} running, {len(self._waiting)} waiting); try again later."
        return Overloaded(message, self.name, None, retry_after_s)
