"""What does the HTTP app need of the company behind it?"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.edge.observatory import Observatory
from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject
from actors.protocol.patterns import RewriteMode, Trial
from actors.protocol.preference import Preference
from actors.protocol.ratings import Verdict
from actors.protocol.streams import Closeable


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request's `troupe` object asks for; `None` leaves the model's own setting. Names are not yet resolved."""

    strategy: str | None = None
    merge: str | None = None
    quorum: int | None = None
    deadline_s: float | None = None
    max_attempts: int | None = None
    max_cost_usd: float | None = None
    min_confidence_01: float | None = None
    members: tuple[str, ...] | None = None
    cache: str | None = None
    prefer: Preference | None = None
    rewrite: RewriteMode | None = None
    pattern: str | None = None


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One validated chat completion request.

    `body` holds the caller's parameters without `model`, `stream`, `stream_options` and `troupe`. `key_name` names the
    API key that it came with (`None` where no keys are configured). `received_s` is a monotonic reading of the
    app's clock at the first look at the request. `traceparent`: the caller's span, as its header names it (W3C).
    """

    request_id: str
    model: str
    body: JsonObject = field(repr=False)  # holds the caller's text: never printed
    stream: bool
    include_usage: bool
    n: int
    wishes: Wishes
    key_name: str | None
    received_s: float
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: an OpenAI `chat.completion` object, and the headers to send with it."""

    body: JsonObject = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StreamedReply:
    """An answer in parts. `events` gives the JSON of each event in order, b"" where only a sign of life is due.

    The app takes the first event before it sends headers and always closes `events`, also when the client hangs up.
    """

    headers: Mapping[str, str]
    events: Closeable[bytes]


def new_request_id() -> str:
    """An id that nobody can guess: who knows it may give feedback on the request."""
    return next(_request_ids)


def _unguessable_ids() -> Iterator[str]:
    while True:
        digits = secrets.token_hex(12 * 256)  # asking the system for each one costs more than using it
        for start in range(0, len(digits), 24):
            yield f"req_{digits[start : start + 24]}"


_request_ids = _unguessable_ids()


class Gateway(Protocol):
    """Answers requests. All methods raise errors of the `LLMError` tree; cancelling a call stops the work behind it."""

    async def complete(self, request: ChatRequest) -> Reply:
        """The whole answer."""
        ...

    async def open_stream(self, request: ChatRequest) -> StreamedReply:
        """The answer as a stream; what goes wrong before the first byte is raised here."""
        ...

    def turned_away(self, refusal: DecisionRecord) -> None:
        """Takes note of a request that was refused before it got here."""
        ...

    def models(self) -> list[JsonObject]:
        """OpenAI model objects (`id`, `object`, `created`, `owned_by`) of every name that callers may use."""
        ...

    async def record_feedback(self, feedback: Feedback) -> JsonObject:
        """The acknowledgement, once the feedback is durable."""
        ...

    async def status(self) -> JsonObject:
        """What `/api/status` shows."""
        ...

    async def optimizer_report(self) -> JsonObject:
        """What `/api/optimizer` shows."""
        ...

    async def export_learning(self) -> JsonObject:
        """What was judged, for `import_learning`."""
        ...

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> JsonObject:
        """How much of it was new."""
        ...

    async def reset_learning(self) -> JsonObject:
        """Forgets all that was learned."""
        ...

    async def errors(self) -> JsonObject:
        """What `/api/errors` shows."""
        ...

    @property
    def observatory(self) -> Observatory:
        """What can be seen of the gateway beside."""
        ...

    def not_ready_because(self) -> str | None:
        """Why requests should go elsewhere for now; `None` when ready."""
        ...

    def refuses_because(self) -> LLMError | None:
        """The error that every new completion gets, for example while draining; `None` when they are welcome."""
        ...
