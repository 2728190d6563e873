"""What may one request still spend, what has it done so far, and through which gates does it reach the models?"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from actors.protocol.clock import Clock, Deadline
from actors.protocol.errors import DeadlineExceeded, LLMError, LLMRouterError
from actors.protocol.messages import Attempt, Call, EnsembleReport, JsonObject, Usage
from actors.protocol.ports import ModelPort
from actors.resilience.limits import Gate
from actors.resilience.retry import AttemptBudget, RetryPolicy
from actors.resilience.wrappers import Limited, Limits, Observed, Retrying, TimeLimited
from actors.routing.strategies import LocalView
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

QUEUE_PER_PERMIT = 4


@dataclass(slots=True)
class Scene:
    """One request under way.

    `waited_s` is the time in which it did nothing but wait for models; the rest is our own overhead. `report` is that
    of the outermost ensemble, once it has ended.
    """

    request_id: str
    body: JsonObject = field(repr=False)
    table: RoutingTable
    target: ModelRecord | BackendRecord
    deadline: Deadline
    budget: AttemptBudget
    clock: Clock
    max_cost_usd: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    waited_s: float = 0.0
    report: EnsembleReport | None = None
    _waiting: int = 0
    _waiting_since_s: float = 0.0

    @property
    def leaves(self) -> list[str]:
        """The backends that may be asked for this request, each once."""
        if isinstance(self.target, BackendRecord):
            return [self.target.name]
        return list(dict.fromkeys(leaf for member in self.target.members for leaf in self.table.leaves(member)))

    @property
    def has_alternatives(self) -> bool:
        """Whether another backend could answer as well."""
        return len(self.leaves) > 1

    @property
    def spent_usd(self) -> float:
        return sum(attempt.cost_usd or 0.0 for attempt in self.attempts)

    @property
    def cost_usd(self) -> float | None:
        """What all calls cost together; `None` when no price is known."""
        priced = [attempt.cost_usd for attempt in self.attempts if attempt.cost_usd is not None]
        return sum(priced) if priced else None

    @property
    def usage(self) -> Usage | None:
        """The tokens of all calls together; `None` when none was counted."""
        used = [attempt.usage for attempt in self.attempts if attempt.usage is not None]
        return sum(used[1:], used[0]) if used else None

    def asking(self, body: JsonObject) -> "Scene":
        """Another question within the same limits and on the same books."""
        return replace(self, body=body)

    def call(self, **parameters: object) -> Call:
        """The request as a call with the time that is left, and with some parameters set."""
        return Call(self.request_id, {**self.body, **parameters}, self.deadline.time_left_s())

    def exhausted(self) -> LLMError | None:
        """Why nothing more may be asked: no time or no money left; `None` while there is."""
        if self.deadline.time_left_s() <= 0:
            return DeadlineExceeded("The request's deadline passed before an answer was there.")
        if self.max_cost_usd is not None and self.spent_usd >= self.max_cost_usd:
            message = f"The request's cost limit of {self.max_cost_usd:g} USD is spent."
            return LLMRouterError(message, status=402, code="cost_limit")
        return None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time in which this request waits for at least one model."""
        if self._waiting == 0:
            self._waiting_since_s = self.clock.monotonic_s()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self.waited_s += self.clock.monotonic_s() - self._waiting_since_s


class Cast:
    """Who can be asked, as one replica reaches them: a port and a gate per backend, and the calls under way."""

    def __init__(self, port_for: Callable[[BackendRecord], ModelPort], rng: random.Random) -> None:
        self._port_for = port_for
        self._rng = rng
        self._gates: dict[str, Gate] = {}
        self.in_flight: dict[str, int] = {}
        self.view = LocalView(rng, in_flight=self.in_flight)

    def port(self, backend: BackendRecord, scene: Scene) -> ModelPort:
        """The way to a backend for one request: retries around single calls, each of which is recorded."""
        port = self._port_for(backend)
        if backend.lease is None:  # a network provider keeps these limits itself; an actor may hang
            limits = Limits(backend.timeout_s, backend.ttft_timeout_s, backend.stall_timeout_s)
            port = TimeLimited(port, backend.name, limits, scene.clock)
        cost_usd = partial(cost_of, backend)
        observed = Observed(port, backend.name, scene.attempts.append, scene.clock, cost_usd)
        limited = Limited(observed, self._gate(backend), scene.clock)
        # A hosted model fails when its process has died: another member answers before it is back.
        retries = 0 if backend.hosted and scene.has_alternatives else backend.max_retries
        return Retrying(limited, RetryPolicy(retries), scene.budget, self._rng, clock=scene.clock)

    @contextmanager
    def counted(self, backend: str) -> Iterator[None]:
        """Counts a call as under way."""
        self.in_flight[backend] = self.in_flight.get(backend, 0) + 1
        try:
            yield
        finally:
            self.in_flight[backend] -= 1

    def _gate(self, backend: BackendRecord) -> Gate:
        permits = backend.lease.max_concurrency if backend.lease else backend.max_concurrency
        gate = self._gates.get(backend.name)
        if gate is None:
            gate = self._gates[backend.name] = Gate(backend.name, permits, queue=QUEUE_PER_PERMIT * permits)
        elif gate.permits != permits:
            gate.resize(permits)
        return gate


def cost_of(backend: BackendRecord, usage: Usage | None) -> float | None:
    """US dollars; `None` without a price or a count."""
    if backend.price is None or usage is None:
        return None
    return backend.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
