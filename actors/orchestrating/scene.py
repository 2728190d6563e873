"""What may one request still spend, what has it done so far, and through which gates does it reach the models?"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from actors.ensembling.agreement import Similarity, token_overlap
from actors.orchestrating.breakers import Breakers
from actors.orchestrating.holdings import Holdings
from actors.protocol.clock import Clock, Deadline
from actors.protocol.errors import BackendUnavailable, DeadlineExceeded, LLMError, LLMRouterError
from actors.protocol.messages import Answer, Attempt, Call, EnsembleReport, Failure, JsonObject, Usage
from actors.protocol.patterns import PLAIN
from actors.protocol.ports import ModelPort
from actors.protocol.predictions import Describe, undescribed
from actors.protocol.tasks import UNGUESSED, Detect, TaskGuess, unguessed
from actors.protocol.trials import Verifier
from actors.resilience.retry import AttemptBudget, RetryPolicy
from actors.resilience.wrappers import Limits, TimeLimited, Trying
from actors.rewriting.rewriter import Phrasing
from actors.routing.strategies import LocalView
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

SHORT_WAIT_S = 5.0  # as long as our own back-off waits at most; beyond it another member is asked first


@dataclass(slots=True)
class Scene:
    """One request under way.

    `waiting` is entered whenever it waits for a model. `report` is that of the outermost ensemble, once it has ended.
    `propensity_01`: with which probability its first member was chosen; `explored`: whether to learn more of it.
    `answers`: what the members of that ensemble said.
    `came_s`: when the request came, on the monotonic clock. `task`: what kind of question it is;
    `features`: what a learned model sees of it; `predicted`: which quality that lets it expect of whom.
    `phrasing`: in which way it is put to each backend, where that may be another than the caller's own.
    `shut`: backends that are not asked again for it, since they were silent or refuse us. `too_small`: those for whose
    context it is too long. `excluded`: members that cannot take it at all -> why.
    """

    request_id: str
    body: JsonObject = field(repr=False)
    table: RoutingTable
    target: ModelRecord | BackendRecord
    deadline: Deadline
    budget: AttemptBudget
    clock: Clock
    max_cost_usd: float | None = None
    came_s: float = 0.0
    task: TaskGuess = UNGUESSED
    features: str = field(default="", repr=False)
    predicted: Sequence[tuple[str, float, float]] = ()
    phrasing: Phrasing | None = None
    attempts: list[Attempt] = field(default_factory=list)
    shut: set[str] = field(default_factory=set)
    too_small: list[BackendRecord] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    report: EnsembleReport | None = None
    propensity_01: float = 1.0
    explored: bool = False
    answers: Sequence[Answer] = field(default=(), repr=False)
    waiting: "Waiting" = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.clock)

    @property
    def leaves(self) -> Sequence[str]:
        """The backends that may be asked for this request, each once."""
        return self.table.leaves_of(self.target)

    def may_ask(self, backend: BackendRecord) -> bool:
        """Whether, after what has happened so far, asking this backend makes sense."""
        if backend.name in self.shut:
            return False
        return all(_is_another_or_larger(backend, refused) for refused in self.too_small)

    def learn(self, failure: Failure) -> None:
        """Remembers what a failure says about asking that backend again for this request."""
        if failure.code in ("timeout", "upstream_key_refused", "upstream_not_found"):
            self.shut.add(failure.backend)
        elif failure.code == "context_length_exceeded" and failure.backend in self.table.backends:
            self.too_small.append(self.table.backends[failure.backend])

    @property
    def hold_back_chunks(self) -> int:
        """How many chunks of a stream are kept until the next has come."""
        return 0 if isinstance(self.target, BackendRecord) else self.target.hold_back_chunks

    @property
    def longest_wait_s(self) -> float:
        """How long a backend may ask us to wait and still be waited for, while others have not been asked."""
        target = self.target
        if isinstance(target, BackendRecord) or target.is_ensemble or len(target.members) == 1:
            return inf
        return SHORT_WAIT_S

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

    def asking(self, body: JsonObject, phrasing: Phrasing | None = None) -> "Scene":
        """Another question within the same limits and on the same books; put as it is, without a `phrasing`."""
        return replace(self, body=body, phrasing=phrasing)

    def call(self, backend: str, **parameters: object) -> Call:
        """The request as a call to that backend, with the time that is left, and with some parameters set."""
        body = self.body if self.phrasing is None else self.phrasing.body_for(backend, self.body)
        return Call(self.request_id, {**body, **parameters}, self.deadline.time_left_s())

    def pattern_of(self, backend: str | None) -> str:
        """In which way that backend was asked."""
        return PLAIN if self.phrasing is None else self.phrasing.pattern_of(backend)

    def exhausted(self) -> LLMError | None:
        """Why nothing more may be asked: no time or no money left; `None` while there is."""
        if self.deadline.time_left_s() <= 0:
            return DeadlineExceeded("The request's deadline passed before an answer was there.")
        if self.max_cost_usd is not None and self.spent_usd >= self.max_cost_usd:
            message = f"The request's cost limit of {self.max_cost_usd:g} USD is spent."
            return LLMRouterError(message, status=402, code="cost_limit")
        return None


def _is_another_or_larger(backend: BackendRecord, refused: BackendRecord) -> bool:
    if backend.context_window is not None and refused.context_window is not None:
        return backend.context_window > refused.context_window
    return _served_as(backend) != _served_as(refused)


def _served_as(backend: BackendRecord) -> tuple[str, str, str | None]:
    return backend.provider, backend.model, backend.lease.base_url if backend.lease else None


class Waiting:
    """Counts the time in which at least one of its blocks runs.

    `waited_s` is the time in which a request did nothing but wait for models; the rest is our own overhead.
    """

    __slots__ = ("_clock", "_depth", "_since_s", "waited_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._depth = 0
        self._since_s = 0.0
        self.waited_s = 0.0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._since_s = self._clock.monotonic_s()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.waited_s += self._clock.monotonic_s() - self._since_s


class Counted:
    """Counts a call as under way while its block runs."""

    __slots__ = ("_backend", "_in_flight")

    def __init__(self, in_flight: dict[str, int], backend: str) -> None:
        self._in_flight = in_flight
        self._backend = backend

    def __enter__(self) -> None:
        self._in_flight[self._backend] = self._in_flight.get(self._backend, 0) + 1

    def __exit__(self, *_: object) -> None:
        self._in_flight[self._backend] -= 1


class Cast:
    """Who can be asked, as one replica reaches them: a port and a gate per backend, and the calls under way.

    `holdings`: this replica's shares of the backends; without them it is the only replica. `breakers` hear how each
    call ended. `verifier` tries code, where a model wants that. `count` estimates the tokens that an upstream does
    not tell. `similar` says how alike two free texts are, `detect` which type of task
    a question sets, `describe` what is seen of it by a learned model.
    """

    def __init__(
        self,
        port_for: Callable[[BackendRecord], ModelPort],
        rng: random.Random,
        holdings: Holdings | None = None,
        breakers: Breakers | None = None,
        verifier: Verifier | None = None,
        count: Callable[[JsonObject, str], Usage] | None = None,
        similar: Similarity = token_overlap,
        detect: Detect = unguessed,
        describe: Describe = undescribed,
    ) -> None:
        self.verifier = verifier
        self.similar = similar
        self.detect = detect
        self.describe = describe
        self._count = count
        self._port_for = port_for
        self._breakers = breakers or Breakers("only")
        self._rng = rng
        self._gate_of = (holdings or Holdings("only", 1)).gate
        self.in_flight: dict[str, int] = {}
        self.view = LocalView(rng, in_flight=self.in_flight)

    def port(self, backend: BackendRecord, scene: Scene) -> ModelPort:
        """The way to a backend for one request: retries around single calls, each of which is recorded.

        Raises `BackendUnavailable` for a backend whose lease was revoked.
        """
        if backend.is_revoked:
            raise BackendUnavailable(f"'{backend.name}' was taken out of service (its lease is revoked).", backend.name)
        if backend.breaker != "closed":
            self._breakers.begin(backend)
        port = self._port_for(backend)
        if backend.direct_lease is None:  # a network provider keeps these limits itself; an actor may hang
            limits = Limits(backend.timeout_s, backend.ttft_timeout_s, backend.stall_timeout_s)
            port = TimeLimited(port, backend.name, limits, scene.clock)
        # A hosted model fails when its process has died: another member answers before it is back.
        retries = 0 if backend.hosted and scene.has_alternatives else backend.max_retries
        return Trying(
            port,
            backend.name,
            self._gate_of(backend),
            RetryPolicy(retries, longest_wait_s=scene.longest_wait_s),
            scene.budget,
            self._rng,
            report=partial(self._report, scene, backend.breaker_failures),
            cost_usd=partial(cost_of, backend),
            clock=scene.clock,
            origin_s=scene.came_s,
            count=self._count,
        )

    def _report(self, scene: Scene, breaker_failures: int, attempt: Attempt) -> None:
        if scene.phrasing is not None:
            attempt.pattern = scene.phrasing.pattern_of(attempt.backend)
        scene.attempts.append(attempt)
        self._breakers.note(attempt, breaker_failures)

    def counted(self, backend: str) -> Counted:
        """A scope in which a call counts as under way."""
        return Counted(self.in_flight, backend)


def cost_of(backend: BackendRecord, usage: Usage | None) -> float | None:
    """US dollars; `None` without a price or a count."""
    if backend.price is None or usage is None:
        return None
    return backend.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
