"""How is a bare model made fit for service? Model ports around a model port, each with one duty.

Their order is where they are nested; outermost first:

    Trying(TimeLimited(port, ...), gate, ...)

What happens around every single call is a scope (`Try`) and not one more port: each generator that a stream passes
costs as much as reading its events. Only `Gate` holds state between requests: the wrappers are cheap enough to be
nested anew for each, and not frozen, since that would double what it costs to build them.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from actors.protocol.clock import SYSTEM_CLOCK, Clock, Deadline
from actors.protocol.errors import BackendError, BackendTimeout, LLMError, LLMRouterError
from actors.protocol.messages import Attempt, AttemptOutcome, Call, Chunk, Completion, JsonObject, Usage
from actors.protocol.ports import ModelPort
from actors.resilience.limits import Gate
from actors.resilience.retry import AttemptBudget, RetryPolicy, Sleep


@dataclass(frozen=True, slots=True)
class Limits:
    """A backend's patience in seconds: for a whole answer, for the first chunk of a stream, for each later chunk."""

    timeout_s: float = 120.0
    ttft_timeout_s: float = 20.0
    stall_timeout_s: float = 15.0


@dataclass(slots=True)
class TimeLimited:
    """Ends a call that takes too long, or a stream that starts too late or falls silent, with `BackendTimeout`.

    The time that the call itself has left is a limit as well, in streams over the whole length.
    """

    inner: ModelPort
    backend: str
    limits: Limits
    clock: Clock = SYSTEM_CLOCK

    async def complete(self, call: Call) -> Completion:
        """Raises `BackendTimeout` after `timeout_s`."""
        limit_s = min(self.limits.timeout_s, call.time_left_s)
        try:
            async with asyncio.timeout(limit_s):
                return await self.inner.complete(call)
        except TimeoutError:
            raise self._timed_out("gave no answer", limit_s, self.limits.timeout_s, "timeout_s") from None

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """Raises `BackendTimeout` after `ttft_timeout_s` without a first chunk or `stall_timeout_s` without another."""
        deadline = Deadline.after(call.time_left_s, self.clock)
        patience_s, name, what = self.limits.ttft_timeout_s, "ttft_timeout_s", "sent no first token"
        async with closing(self.inner.stream(call)) as chunks:
            while True:
                limit_s = min(patience_s, deadline.time_left_s())
                try:
                    async with asyncio.timeout(limit_s):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise self._timed_out(what, limit_s, patience_s, name) from None
                yield chunk
                patience_s, name, what = self.limits.stall_timeout_s, "stall_timeout_s", "fell silent in mid-answer"

    def _timed_out(self, what: str, limit_s: float, own_limit_s: float, name: str) -> BackendTimeout:
        whose = name if limit_s == own_limit_s else "what the request's deadline left"
        return BackendTimeout(f"'{self.backend}' {what} within {limit_s:.3g} s ({whose}).", self.backend)


@dataclass(slots=True)
class Trying:
    """Calls a backend as often as its policy says: each try takes a permit and is reported.

    After errors that another try may mend the same backend is asked again; in a stream only before its first chunk.
    Each try, the first one included, is taken from the request's `budget`; `LLMRouterError` (`attempts_exhausted`) when
    not even one is left. Not tried again: silence (`BackendTimeout`), a full gateway (`Overloaded`), and where the
    wait would outlast the call's time.

    A permit is held until the answer or its stream ends. Waiting for one is not held against the backend: `report` is
    told of each try that reached it, once it has ended, whatever way it ended; `cost_usd` says what a usage costs
    (`None`: no price is known). `origin_s`: when the request came, on the monotonic clock. `count`: estimates, from a
    request and its answer as far as it came, the usage that the upstream does not tell.
    """

    inner: ModelPort
    backend: str
    gate: Gate
    policy: RetryPolicy
    budget: AttemptBudget
    rng: random.Random
    report: Callable[[Attempt], None]
    cost_usd: Callable[[Usage], float | None] = field(default=lambda _: None)
    sleep: Sleep = field(default=asyncio.sleep)
    clock: Clock = SYSTEM_CLOCK
    origin_s: float = 0.0
    count: Callable[[JsonObject, str], Usage] | None = None

    async def complete(self, call: Call) -> Completion:
        """Raises the last try's error; `Overloaded` when the queue is full or no permit came while there was time."""
        self._take_first()
        deadline = Deadline.after(call.time_left_s, self.clock)
        failures = 0
        while True:
            try:
                price = self._price(call)
                queued_s = None
                if not self.gate.try_enter(price):
                    call, queued_s = await self._waited(call, price)
                with Try(self, price, call.body, queued_s) as this:
                    completion = await self.inner.complete(call)
                    this.usage = completion.usage
                    if this.usage is None:
                        this.texts.append(completion.text)
                    return completion
            except BackendError as error:
                failures += 1
                delay_s = self._wait_s(error, failures, deadline)
                if delay_s is None:
                    raise
            await self.sleep(delay_s)
            call = with_time_left(call, deadline)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """Raises like `complete`; after the first chunk, the first error."""
        self._take_first()
        deadline = Deadline.after(call.time_left_s, self.clock)
        failures = 0
        while True:
            begun = False
            try:
                price = self._price(call)
                queued_s = None
                if not self.gate.try_enter(price):
                    call, queued_s = await self._waited(call, price)
                with Try(self, price, call.body, queued_s) as this:
                    async with closing(self.inner.stream(call)) as chunks:
                        async for chunk in chunks:
                            begun = True
                            this.see(chunk)
                            yield chunk
                return
            except BackendError as error:
                failures += 1
                delay_s = None if begun else self._wait_s(error, failures, deadline)
                if delay_s is None:
                    raise
            await self.sleep(delay_s)
            call = with_time_left(call, deadline)

    def _take_first(self) -> None:
        if not self.budget.take():
            message = "The request has caused as many upstream calls as its model allows (max_attempts)."
            raise LLMRouterError(message, code="attempts_exhausted")

    def _price(self, call: Call) -> int:
        """The tokens at which it enters, where those are limited; it is charged what the upstream counts instead."""
        rates = self.gate.rates
        return 0 if rates is None else rates.price(call.body)

    async def _waited(self, call: Call, price: int) -> tuple[Call, float]:
        deadline = Deadline.after(call.time_left_s, self.clock)
        await self.gate.wait(call.time_left_s, price)
        waiting = with_time_left(call, deadline)
        return waiting, call.time_left_s - waiting.time_left_s

    def _wait_s(self, error: BackendError, failures: int, deadline: Deadline) -> float | None:
        delay_s = self.policy.wait_s(error, failures, deadline.time_left_s(), self.rng)
        return delay_s if delay_s is not None and self.budget.take_again() else None


class Try:
    """A scope with one call in it: reports it and gives its permit back when it ends.

    A stream that is closed after its `finish_reason` is `ok`, before it `cancelled`.
    """

    __slots__ = (
        "_body",
        "_by",
        "_finished",
        "_first_s",
        "_first_text_s",
        "_price",
        "_queued_s",
        "_started_s",
        "texts",
        "usage",
    )

    def __init__(self, by: Trying, price: int, body: JsonObject, queued_s: float | None) -> None:
        self._by = by
        self._body = body
        self._price = price
        self._queued_s = queued_s
        self._started_s = by.clock.monotonic_s()
        self._first_s: float | None = None
        self._first_text_s: float | None = None
        self._finished = False
        self.usage: Usage | None = None
        self.texts: list[str] = []

    def see(self, chunk: Chunk) -> None:
        """To be called with each chunk of a stream."""
        if self._first_text_s is None:
            now_s = self._by.clock.monotonic_s()
            self._first_s = self._first_s or now_s
            self._first_text_s = now_s if chunk.text else None
        if chunk.text:
            self.texts.append(chunk.text)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finished = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        by, usage = self._by, self.usage
        if usage is None and self.texts and by.count is not None:
            usage = by.count(self._body, "".join(self.texts))
        if self._price:
            by.gate.correct(self._price, usage)
        by.gate.leave()
        latency_ms = (by.clock.monotonic_s() - self._started_s) * 1e3
        # Streams of tool calls have no text; there the first chunk is all that can be timed.
        token_s = self._first_text_s or self._first_s
        ttft_ms = None if token_s is None else (token_s - self._started_s) * 1e3
        cost_usd = None if usage is None else by.cost_usd(usage)
        started_ms = (self._started_s - by.origin_s) * 1e3
        queued_ms = None if self._queued_s is None else self._queued_s * 1e3
        outcome = self._outcome(error)
        by.report(Attempt(by.backend, outcome, latency_ms, ttft_ms, usage, cost_usd, started_ms, queued_ms))

    def _outcome(self, error: BaseException | None) -> AttemptOutcome:
        if error is None:
            return "ok"
        if isinstance(error, LLMError):
            return error.code
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return "ok" if self._finished else "cancelled"
        return "internal_error"


def closing(chunks: AsyncIterator[Chunk]) -> "aclosing[AsyncGenerator[Chunk, None]]":
    """Closes a port's stream when the block ends; what ports hand out as iterators are generators."""
    return aclosing(cast(AsyncGenerator[Chunk, None], chunks))


def with_time_left(call: Call, deadline: Deadline) -> Call:
    """The same call with the time that is left now."""
    return Call(call.request_id, call.body, deadline.time_left_s())
