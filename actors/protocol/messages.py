"""What do the parts of the company say to each other about one request?

Nobody changes a message. Those of which every request makes several are not frozen all the same: that would triple
what it costs to make one, here and where it arrives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from actors.protocol.errors import BackendError, LLMError
from actors.protocol.sending import Sendable

JsonObject = dict[str, Any]
"""A JSON object that is passed on whole: its keys belong to the OpenAI API or to an upstream, not to us."""


@dataclass(slots=True)
class Usage(Sendable):
    """Tokens that one or several calls consumed. `estimated` where no upstream counted them."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
        )

    def as_json(self) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(slots=True)
class Call:
    """One question to one model.

    `body` holds the caller's OpenAI parameters (`messages`, sampling, `tools`, and any that we do not know) without
    `model`, `stream`, `stream_options` and `troupe`: those belong to whoever places the call.
    `time_left_s` is what the request's deadline leaves to this call.
    """

    request_id: str
    body: JsonObject = field(repr=False)  # holds the caller's text: never printed
    time_left_s: float

    def asking(self, **parameters: object) -> "Call":
        """The same call with some of the body's parameters set."""
        return Call(self.request_id, {**self.body, **parameters}, self.time_left_s)


@dataclass(slots=True)
class Completion:
    """A whole answer of one model.

    `body` is the OpenAI `chat.completion` object as the upstream gave it. `logprob_mean` is the mean natural log
    probability of the answer's tokens (at most 0, higher is surer), `None` when the model gave none.
    """

    body: JsonObject = field(repr=False)
    text: str = field(repr=False)
    finish_reason: str | None
    usage: Usage | None
    logprob_mean: float | None = None


class Chunk(NamedTuple):
    """One event of a stream: the JSON as the upstream sent it, and what we need to know of it.

    `text` is the content delta of the first choice ("" when there is none). `is_plain`: besides it the event says
    nothing of the answer but its role, its finish and its usage: no tool call, no other choice, no log probabilities.
    """

    data: bytes
    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    is_plain: bool = True


@dataclass(slots=True)
class Answer:
    """An ensemble member's success: what it said, how long it took, what it cost (`None`: no price is known)."""

    backend: str
    completion: Completion
    latency_ms: float
    cost_usd: float | None = None

    @property
    def text(self) -> str:
        return self.completion.text


@dataclass(frozen=True, slots=True)
class Failure(Sendable):
    """An ensemble member's failure, as a value. `message` is fit for the caller: no secret, no prompt text."""

    backend: str
    code: str
    message: str
    status: int
    retryable: bool
    latency_ms: float
    retry_after_s: float | None = None
    param: str | None = None

    @classmethod
    def of(cls, error: LLMError, backend: str, latency_ms: float) -> "Failure":
        return cls(
            backend=backend,
            code=error.code,
            message=error.message,
            status=error.status,
            retryable=error.retryable,
            latency_ms=latency_ms,
            retry_after_s=error.retry_after_s,
            param=error.param,
        )

    def as_error(self) -> BackendError:
        """The error that a caller sees when nothing but this failure is left."""
        error = BackendError(self.message, self.backend, self.param, self.retry_after_s, self.status, self.code)
        error.retryable = self.retryable
        if 400 <= self.status < 500:
            error.kind = "rate_limit_error" if self.status == 429 else "invalid_request_error"
        return error


Outcome = Answer | Failure

AttemptOutcome = Literal["ok", "cancelled"] | str
"""`ok`, `cancelled`, or the `code` of the error."""


@dataclass(slots=True)
class Attempt(Sendable):
    """One upstream call that a request caused. `started_ms`: how long after the request came it was placed;
    `queued_ms`: how long it had waited for a slot, `None` if it had not. `pattern`: how the question was put."""

    backend: str
    outcome: AttemptOutcome
    latency_ms: float
    ttft_ms: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    started_ms: float | None = None
    queued_ms: float | None = None
    pattern: str = "plain"

    def as_json(self) -> JsonObject:
        told: JsonObject = {"backend": self.backend, "outcome": self.outcome, "latency_ms": round(self.latency_ms, 3)}
        return told if self.pattern == "plain" else told | {"pattern": self.pattern}


@dataclass(slots=True)
class Vote(Sendable):
    """How one member's answer counted in a merge.

    `weight` is its share of all votes, 0..1; `answer` the extracted final answer, `None` when it cast no vote;
    `confidence_01` the member's own confidence (higher is surer), `None` when it gave none. `passed_01`: the share
    of the question's examples that its code passed, `None` where none was run.
    """

    backend: str
    answer: str | None = field(repr=False)
    weight: float
    confidence_01: float | None = None
    passed_01: float | None = None

    def as_json(self) -> JsonObject:
        told: JsonObject = {
            "backend": self.backend,
            "answer": self.answer,
            "weight": round(self.weight, 4),
            "confidence_01": _rounded(self.confidence_01),
        }
        return told if self.passed_01 is None else told | {"passed_01": _rounded(self.passed_01)}


@dataclass(slots=True)
class EnsembleReport(Sendable):
    """How the answers of an ensemble became one: the `ensemble` object of the reply.

    `streamed`: whose answer the caller got before the vote; `attested`: whether the vote came to the same, `None` where
    it came to nothing. `model`: the ensemble itself.
    """

    asked: int
    answered: int
    quorum: int
    merge: str
    winner: str | None
    confidence_01: float | None
    support_01: float | None
    decided_early: bool
    degraded: bool
    votes: Sequence[Vote] = ()
    failures: Sequence[Failure] = ()
    reasons: Sequence[str] = ()
    streamed: str | None = None
    attested: bool | None = None
    model: str | None = None

    def as_json(self) -> JsonObject:
        told: JsonObject = {
            "asked": self.asked,
            "answered": self.answered,
            "quorum": self.quorum,
            "merge": self.merge,
            "winner": self.winner,
            "confidence_01": _rounded(self.confidence_01),
            "support_01": _rounded(self.support_01),
            "decided_early": self.decided_early,
            "degraded": self.degraded,
            "reasons": list(self.reasons),
            "votes": [vote.as_json() for vote in self.votes],
            "failures": [{"backend": f.backend, "code": f.code, "message": f.message} for f in self.failures],
        }
        return told if self.streamed is None else told | {"streamed": self.streamed, "attested": self.attested}


@dataclass(slots=True)
class DecisionRecord(Sendable):
    """What one request led to: sent to the optimizer and the tracer when it ends, kept for feedback.

    It holds no prompt and no answer text. `outcome` is `ok`, `cancelled` or an error code; `overhead_ms` is our own
    time, without the time that was spent waiting for upstreams. `excluded`: members that could not take the request,
    each with the reason. `key_name` names the API key that it came with;
    `saved_usd` is what the answer had cost that was given again, `None` for a new one. `table_version` is that of the
    routing table that it was decided on, and `unclosed` the backends whose breaker was not closed then, each with its
    state. `traceparent`: the caller's span (W3C). `explored`: whether a learned model asked
    another member than the best rated first. `task_permille`: how probable each of `TASK_TYPES` is, in thousandths;
    empty where none was guessed. `features`: what a learned model saw of the question, and `predicted`: which quality
    it expected of each member by that, with half the width of a 95 % interval.
    """

    request_id: str
    finished_at_s: float
    model: str
    strategy: str
    backend: str | None
    outcome: AttemptOutcome
    status: int
    latency_ms: float
    overhead_ms: float
    stream: bool
    ttft_ms: float | None = None
    attempts: Sequence[Attempt] = ()
    usage: Usage | None = None
    cost_usd: float | None = None
    ensemble: EnsembleReport | None = None
    excluded: Sequence[tuple[str, str]] = ()
    task_type: str = "unknown"
    pattern: str = "plain"
    propensity_01: float = 1.0
    key_name: str | None = None
    saved_usd: float | None = None
    table_version: int = 0
    unclosed: Sequence[tuple[str, str]] = ()
    traceparent: str | None = None
    explored: bool = False
    task_permille: Sequence[int] = ()
    features: str = field(default="", repr=False)
    predicted: Sequence[tuple[str, float, float]] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody thinks of an answer. At least one judgement is set; `score_01`: higher is better.

    `preferred`: the backend whose answer is the best; `gold`: the right answer. `gold_right`: whether by that the one
    that was given was right, `None` where that cannot be told any more; found out here, not said by anybody.
    """

    request_id: str
    correct: bool | None = None
    score_01: float | None = None
    preferred: str | None = None
    gold: str | None = None
    comment: str | None = None
    gold_right: bool | None = field(default=None, compare=False)

    @property
    def right(self) -> bool | None:
        """Whether the answer was right, as it was said or follows from `gold`."""
        return self.gold_right if self.correct is None else self.correct


LEASE_VERSION = "lease_version"
"""The gauge in a backend's pulse that rises whenever its lease is revoked or restored; 0 if it never was."""

ActorKind = Literal["backend", "router", "optimizer", "supervisor", "tracer", "ensemble"]
ActorState = Literal["starting", "alive", "degraded", "restarting", "dead"]


@dataclass(frozen=True, slots=True)
class Role:
    """One actor that the supervisor creates: its name, its kind, its plain class and that one's arguments."""

    name: str
    kind: ActorKind
    plain: type
    arguments: tuple[object, ...] = field(default=(), repr=False)  # may hold credentials


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """One member of the company, as `/api/status` shows it."""

    name: str
    kind: ActorKind
    state: ActorState
    pid: int | None = None
    node: str | None = None
    restarts: int = 0
    uptime_s: float | None = None
    detail: str | None = None
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """One decision of the supervisor: what it did about whom, and why. `at_s`: seconds since the Unix epoch."""

    at_s: float
    about: str
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class CompanyStatus:
    """Every member of the company, and the supervisor's last decisions, newest first."""

    actors: Sequence[ActorStatus] = ()
    rulings: Sequence[Ruling] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """An actor's answer to a probe. `healthy` is false where it lives but cannot do its work; `detail` says why.

    `node` is a name for people; `machine` is the same for two processes only if one can signal the other by its `pid`.
    `shut`: of a replica, the backends that it leaves alone by its own experience; `restarts`: how often each actor was
    restarted, as far as the replica was told. `errors`: what the process's own error handler has counted.
    """

    name: str
    pid: int
    node: str
    uptime_s: float
    healthy: bool = True
    detail: str | None = None
    gauges: Mapping[str, float] = field(default_factory=dict)
    machine: str | None = None
    shut: Sequence[str] = ()
    restarts: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
