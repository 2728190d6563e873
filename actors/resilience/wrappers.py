"""How is a bare model made fit for service? Model ports around a model port, each with one duty.

Their order is where they are nested; outermost first:

    Retrying(Limited(Observed(TimeLimited(port, ...), ...), gate), ...)

so that every try takes a permit of its own, waiting for one is not held against the backend, and each upstream call
is reported. Only `Gate` holds state between requests: the wrappers are cheap enough to be nested anew for each, and not
frozen, since that would double what it costs to build them.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

from actors.protocol.clock import SYSTEM_CLOCK, Clock, Deadline
from actors.protocol.errors import BackendError, BackendTimeout, LLMError, LLMRouterError
from actors.protocol.messages import Attempt, AttemptOutcome, Call, Chunk, Completion, Usage
from actors.protocol.ports import ModelPort
from actors.resilience.limits import Gate
from actors.resilience.retry import AttemptBudget, RetryPolicy, Sleep


@dataclass(slots=True)
class Limited:
    """Lets a call through when its backend's gate does; the permit is held until the answer or its stream ends.

    Where tokens are limited, a call enters at an estimated price, and is charged what the upstream counted instead.
    """

    inner: ModelPort
    gate: Gate
    clock: Clock = SYSTEM_CLOCK

    async def complete(self, call: Call) -> Completion:
        """Raises `Overloaded` at once when the queue is full, or when no permit came while the call had time."""
        gate = self.gate
        price = 0 if gate.rates is None else gate.rates.price(call.body)
        if not gate.try_enter(price):
            call = await self._waited(call, price)
        try:
            completion = await self.inner.complete(call)
            if price:
                gate.correct(price, completion.usage)
            return completion
        finally:
            gate.leave()

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """Raises `Overloaded` like `complete`; the permit is given back when the stream ends or is closed."""
        gate = self.gate
        price = 0 if gate.rates is None else gate.rates.price(call.body)
        if not gate.try_enter(price):
            call = await self._waited(call, price)
        usage: Usage | None = None
        try:
            async with closing(self.inner.stream(call)) as chunks:
                async for chunk in chunks:
                    if price:
                        usage = chunk.usage or usage
                    yield chunk
        finally:
            if price:
                gate.correct(price, usage)
            gate.leave()

    async def _waited(self, call: Call, price: int) -> Call:
        deadline = Deadline.after(call.time_left_s, self.clock)
        await self.gate.wait(call.time_left_s, price)
        return with_time_left(call, deadline)


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
class Retrying:
    """Asks the same backend again after errors that another try may mend; a stream only before its first chunk.

    Each try, the first one included, is taken from the request's `budget`; `LLMRouterError` (`attempts_exhausted`) when
    not even one is left. Not tried again: silence (`BackendTimeout`), a full gateway (`Overloaded`), and where the
    wait would outlast the call's time.
    """

    inner: ModelPort
    policy: RetryPolicy
    budget: AttemptBudget
    rng: random.Random
    sleep: Sleep = field(default=asyncio.sleep)
    clock: Clock = SYSTEM_CLOCK

    async def complete(self, call: Call) -> Completion:
        """Raises the last try's error."""
        self._take_first()
        deadline = Deadline.after(call.time_left_s, self.clock)
        failures = 0
        while True:
            try:
                return await self.inner.complete(call)
            except BackendError as error:
                failures += 1
                delay_s = self._wait_s(error, failures, deadline)
                if delay_s is None:
                    raise
            await self.sleep(delay_s)
            call = with_time_left(call, deadline)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """Raises the last try's error; after the first chunk, the first error."""
        self._take_first()
        deadline = Deadline.after(call.time_left_s, self.clock)
        failures = 0
        while True:
            begun = False
            try:
                async with closing(self.inner.stream(call)) as chunks:
                    async for chunk in chunks:
                        begun = True
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

    def _wait_s(self, error: BackendError, failures: int, deadline: Deadline) -> float | None:
        delay_s = self.policy.wait_s(error, failures, deadline.time_left_s(), self.rng)
        return delay_s if delay_s is not None and self.budget.take() else None


@dataclass(slots=True)
class Observed:
    """Reports every call that reaches the backend, once it has ended, whatever way it ended.

    `cost_usd` says what a usage costs (`None`: no price is known). A stream that is closed after its `finish_reason`
    is `ok`, before it `cancelled`.
    """

    inner: ModelPort
    backend: str
    report: Callable[[Attempt], None]
    clock: Clock = SYSTEM_CLOCK
    cost_usd: Callable[[Usage], float | None] = field(default=lambda _: None)

    async def complete(self, call: Call) -> Completion:
        started_s = self.clock.monotonic_s()
        outcome, usage = "internal_error", None
        try:
            completion = await self.inner.complete(call)
            outcome, usage = "ok", completion.usage
            return completion
        except LLMError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._report(outcome, started_s, None, usage)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        started_s = self.clock.monotonic_s()
        outcome, usage, finished = "internal_error", None, False
        first_s: float | None = None
        first_text_s: float | None = None
        try:
            async with closing(self.inner.stream(call)) as chunks:
                async for chunk in chunks:
                    if first_text_s is None:
                        now_s = self.clock.monotonic_s()
                        first_s = first_s or now_s
                        first_text_s = now_s if chunk.text else None
                    usage = chunk.usage or usage
                    finished = finished or chunk.finish_reason is not None
                    yield chunk
            outcome = "ok"
        except LLMError as error:
            outcome = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "ok" if finished else "cancelled"
            raise
        finally:
            # Streams of tool calls have no text; there the first chunk is all that can be timed.
            token_s = first_text_s or first_s
            self._report(outcome, started_s, None if token_s is None else (token_s - started_s) * 1e3, usage)

    def _report(self, outcome: AttemptOutcome, started_s: float, ttft_ms: float | None, usage: Usage | None) -> None:
        latency_ms = (self.clock.monotonic_s() - started_s) * 1e3
        cost_usd = None if usage is None else self.cost_usd(usage)
        self.report(Attempt(self.backend, outcome, latency_ms, ttft_ms, usage, cost_usd))


def closing(chunks: AsyncIterator[Chunk]) -> "aclosing[AsyncGenerator[Chunk, None]]":
    """Closes a port's stream when the block ends; what ports hand out as iterators are generators."""
    return aclosing(cast(AsyncGenerator[Chunk, None], chunks))


def with_time_left(call: Call, deadline: Deadline) -> Call:
    """The same call with the time that is left now."""
    return Call(call.request_id, call.body, deadline.time_left_s())
