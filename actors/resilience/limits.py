"""May one more call run now, must it wait, or is it refused at once?"""

import asyncio
from collections import deque

from actors.protocol.errors import Overloaded

RETRY_AFTER_S = 1.0


class Gate:
    """At most `permits` calls to one backend at once, and at most `queue` more that wait, first come, first served.

    It belongs to one event loop. `name` is what messages call it.
    """

    def __init__(self, name: str, permits: int, queue: int, retry_after_s: float = RETRY_AFTER_S) -> None:
        if permits < 1 or queue < 0:
            raise ValueError(f"a gate needs at least 1 permit and no negative queue, not {permits} and {queue}")
        self.name = name
        self.queue = queue
        self.permits = permits
        self._retry_after_s = retry_after_s
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Calls that hold a permit."""
        return self._taken

    @property
    def queued(self) -> int:
        """Calls that wait for one."""
        return len(self._waiting)

    def resize(self, permits: int) -> None:
        """Changes how many may run at once; running calls beyond a smaller number finish undisturbed."""
        if permits < 1:
            raise ValueError(f"a gate needs at least 1 permit, not {permits}")
        self.permits = permits
        self._admit()

    async def enter(self, patience_s: float) -> bool:
        """Takes a permit; true if that took waiting. Whoever entered must `leave`.

        Raises `Overloaded` at once when the queue is full, and after `patience_s` of waiting in vain.
        """
        if self._taken < self.permits and not self._waiting:
            self._taken += 1
            return False
        if len(self._waiting) >= self.queue:
            raise self._refusal("is working at its limit")
        await self._wait(patience_s)
        return True

    def leave(self) -> None:
        """Gives a permit back."""
        self._taken -= 1
        self._admit()

    async def _wait(self, patience_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        entered = False
        try:
            async with asyncio.timeout(patience_s):
                await turn
            entered = True
        except TimeoutError:
            raise self._refusal("had no room in time") from None
        finally:
            if not entered:
                self._give_up(turn)

    def _give_up(self, turn: "asyncio.Future[None]") -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn.done() and not turn.cancelled():  # the permit came in the same moment: the next one has it
            self.leave()
        else:
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self._taken < self.permits:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)

    def _refusal(self, what: str) -> Overloaded:
        message = f"'{self.name}' {what} ({self._taken} running, {len(self._waiting)} waiting); try again later."
        return Overloaded(message, self.name, None, self._retry_after_s)
