"""Which backends and models exist, in which state, and under which lease may each be called?

A `RoutingTable` is immutable: the router publishes a new version, replicas replace the old one whole.
"""

import difflib
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from actors.protocol.errors import UnknownModel
from actors.protocol.patterns import Gains, RewriteMode
from actors.protocol.predictions import Predictions
from actors.protocol.preference import FOR_QUALITY, Preference
from actors.protocol.ratings import Rating
from actors.protocol.sending import Sendable
from actors.protocol.trust import Trust
from actors.routing.shares import Allowance

TOGETHER = ("ensemble", "cascade", "pipeline")
"""The strategies that make one answer of several."""

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Price(Sendable):
    """List price in US dollars per million tokens."""

    input_per_mtok: float
    output_per_mtok: float

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.input_per_mtok + completion_tokens * self.output_per_mtok) / 1e6


@dataclass(frozen=True, slots=True)
class Supports(Sendable):
    """What a backend's model can do beyond plain chat."""

    prefill: bool = False
    tools: bool = True
    vision: bool = False
    logprobs: bool = True


@dataclass(frozen=True, slots=True)
class Lease:
    """A backend's leave to call it: where, and with which credential.

    `base_url` is `None` for a hosted model, which is called through its actor. A revoked lease is no leave to call,
    and stays in the table until the backend grants another. How much may be called at once is not in it, since that
    follows demand: each replica renews its share at the backend's actor.
    """

    base_url: str | None
    api_key: str | None = field(default=None, repr=False)
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Measured(Sendable):
    """What was measured of a backend lately. `error_rate_01` is a share of calls; latencies are of whole calls."""

    in_flight: int = 0
    error_rate_01: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class BackendRecord(Sendable):
    """One backend as a replica needs to know it. `hosted`: its weights live in its actor, it is called through that.

    `trial`: the replica that shut it and tries whether it is back; `None` where nobody does, since its probes fail.
    `max_concurrency`, `rpm` and `tpm`: calls at once, and requests and tokens a minute, of all replicas together.
    """

    name: str
    provider: str
    model: str
    hosted: bool
    weight: float = 1.0
    timeout_s: float = 120.0
    ttft_timeout_s: float = 20.0
    stall_timeout_s: float = 15.0
    max_retries: int = 2
    breaker_failures: int = 5
    max_concurrency: int = 64
    rpm: float | None = None
    tpm: float | None = None
    context_window: int | None = None
    price: Price | None = None
    supports: Supports = field(default_factory=Supports)
    breaker: BreakerState = "closed"
    trial: str | None = None
    measured: Measured = field(default_factory=Measured)
    lease: Lease | None = None

    @property
    def limit(self) -> Allowance:
        """What all replicas together may use of it."""
        return Allowance(self.max_concurrency, self.rpm, self.tpm)

    @property
    def is_revoked(self) -> bool:
        """Whether nobody may call it, because its lease was revoked."""
        return self.lease is not None and self.lease.is_revoked

    @property
    def is_open_to_calls(self) -> bool:
        """Whether it may be called: its breaker is not open, its lease not revoked."""
        return self.breaker != "open" and not self.is_revoked

    @property
    def direct_lease(self) -> Lease | None:
        """The lease under which its upstream is called; `None` where calls go through its actor."""
        return self.lease if self.lease is not None and self.lease.base_url is not None else None


@dataclass(frozen=True, slots=True)
class ModelRecord(Sendable):
    """What callers may put in `model`: members (backends or other models) and how they are played together."""

    name: str
    strategy: str
    members: Sequence[str]
    merge: str = "weighted_consensus"
    judge: str | None = None
    quorum: int | None = None
    deadline_s: float = 60.0
    max_attempts: int = 6
    max_cost_usd: float | None = None
    min_confidence_01: float = 0.0
    hold_back_chunks: int = 0
    hedge_share_01: float = 0.0
    staged: int | None = None
    samples: int = 5
    explore_share_01: float = 0.3
    verifier: str | None = None
    drop: Sequence[str] = ()
    stream_leader: bool = False
    prefer: Preference = FOR_QUALITY
    rewrite: RewriteMode = "never"

    @property
    def is_ensemble(self) -> bool:
        """Whether several answers become one."""
        return self.strategy in TOGETHER

    @property
    def goes_by_task(self) -> bool:
        """Whether what was learned for a request's type of task decides who is asked, how, or believed."""
        return self.is_ensemble or self.strategy == "learned" or self.rewrite != "never"

    @property
    def is_written(self) -> bool:
        """Whether its judge writes the answer out of the members' answers."""
        return self.strategy == "ensemble" and self.merge == "synthesize"

    def times_asked(self, n_leaves: int) -> int:
        """How many calls its members are by themselves, where there are `n_leaves` backends behind them."""
        if not self.is_ensemble:
            return 0
        return n_leaves * self.samples if self.merge == "self_consistency" else n_leaves


class Derived:
    """What follows from one table, worked out when it is first asked for, so that no request works it out again.

    A changed table begins with an empty one, and it does not travel: each process works out its own.
    """

    __slots__ = ("leaves", "pickled", "ranked", "unclosed")

    def __init__(self) -> None:
        self.leaves: dict[str, tuple[str, ...]] = {}
        self.ranked: dict[tuple[str, str], tuple[str, ...]] = {}  # by strategy and model
        self.pickled: bytes | None = None
        self.unclosed: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Everything a replica needs to decide alone. `weights`: per task type, per backend, at least 0.
    `trust`: per ensemble, per task type, what feedback taught about its members. `ratings`: per task
    type, per backend, how good its answers were. `gains`: what each way of putting a question gains.
    `predictions`: how good each answer to a question will be, while that is known better than by ratings.

    `draining`: the gateway is about to stop; running requests finish, new ones are refused. `edition`: which
    deployment it belongs to; a replica uses no table of another one.
    """

    version: int
    backends: Mapping[str, BackendRecord]
    models: Mapping[str, ModelRecord]
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    draining: bool = False
    edition: str = ""
    trust: Mapping[str, Mapping[str, Trust]] = field(default_factory=dict)
    ratings: Mapping[str, Mapping[str, Rating]] = field(default_factory=dict)
    gains: Gains = field(default_factory=dict)
    predictions: Predictions | None = None
    derived: Derived = field(default_factory=Derived, init=False, repr=False, compare=False)

    def __reduce__(self) -> "tuple[Callable[[bytes], RoutingTable], tuple[bytes]]":
        # One table goes to every replica, and of 1,000 rows it takes milliseconds to pickle.
        if self.derived.pickled is None:
            learned = (
                self.weights,
                self.draining,
                self.edition,
                self.trust,
                self.ratings,
                self.gains,
                self.predictions,
            )
            rows = (self.version, self.backends, self.models, *learned)
            self.derived.pickled = pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)
        return _unpickled, (self.derived.pickled,)

    def with_leases_of(self, older: "RoutingTable") -> "RoutingTable":
        """This table, with an older one's lease, also a revoked one, for each backend that has not granted one yet."""
        backends = {
            name: replace(record, lease=older.backends[name].lease)
            if record.lease is None and name in older.backends
            else record
            for name, record in self.backends.items()
        }
        return replace(self, backends=backends)

    @property
    def unclosed(self) -> Sequence[tuple[str, str]]:
        """The backends whose breaker is not closed, each with its state."""
        if self.derived.unclosed is None:
            states = ((name, record.breaker) for name, record in self.backends.items())
            self.derived.unclosed = tuple((name, state) for name, state in states if state != "closed")
        return self.derived.unclosed

    def resolve(self, name: str) -> ModelRecord | BackendRecord:
        """The model or backend of that name. Raises `UnknownModel` with the nearest names."""
        found = self.models.get(name) or self.backends.get(name)
        if found is None:
            raise UnknownModel(f"The model '{name}' does not exist.{self.suggestion(name)}", param="model")
        return found

    def suggestion(self, name: str) -> str:
        """' Did you mean ...?' with up to three near names, or all names when none is near."""
        names = list(self.names())
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            return f" Did you mean {_listed(near)}?"
        return f" Available: {_listed(names[:20])}."

    def names(self) -> Iterator[str]:
        """Every name that callers may use, models first."""
        yield from self.models
        yield from (name for name in self.backends if name not in self.models)

    def leaves(self, name: str) -> Sequence[str]:
        """The backends behind a name, each once, in order. Raises `KeyError` for a name that does not exist."""
        known = self.derived.leaves.get(name)
        if known is None:
            is_backend = name in self.backends and name not in self.models
            known = (name,) if is_backend else self._behind(self.models[name].members)
            self.derived.leaves[name] = known
        return known

    def leaves_of(self, target: ModelRecord | BackendRecord) -> Sequence[str]:
        """The backends that `target` may ask, each once, in order; its members may be fewer than the table's own."""
        if isinstance(target, BackendRecord):
            return (target.name,)
        return self.leaves(target.name) if self.has_own_members(target) else self._behind(target.members)

    def has_own_members(self, model: ModelRecord) -> bool:
        """Whether the members are those that this table gives the model, and not a caller's choice of them."""
        own = self.models.get(model.name)
        return own is not None and own.members is model.members

    def _behind(self, members: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(leaf for member in members for leaf in self.leaves(member)))


def _unpickled(rows: bytes) -> RoutingTable:
    return RoutingTable(*pickle.loads(rows))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
