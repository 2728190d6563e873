"""What is known of one traced piece of work, and what may the work itself add to it?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from actors.protocol.messages import AttemptOutcome, JsonObject

MetadataValue = str | int | float | bool
NO_METADATA: Mapping[str, MetadataValue] = {}


@dataclass(slots=True)  # not frozen: that would double the cost of a span
class SpanRecord:
    """One finished span. `span_id` and `parent_id` are unique within one process; 0 is never an id.

    `outcome` is `ok`, `cancelled`, the `code` of an `LLMError` or the class name of any other error. Of a generator,
    `first_item_ms` is the time until its first item; `duration_ms` includes what its consumer took between items.
    """

    component: str
    operation: str
    outcome: AttemptOutcome
    duration_ms: float
    ended_at_s: float
    span_id: int
    parent_id: int | None = None
    backend: str | None = None
    request_id: str | None = None
    first_item_ms: float | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=lambda: NO_METADATA)

    def as_json(self) -> JsonObject:
        """For reports, in which nobody asks for its ids."""
        return {
            "request_id": self.request_id,
            "component": self.component,
            "operation": self.operation,
            "backend": self.backend,
            "outcome": self.outcome,
            "duration_ms": round(self.duration_ms, 3),
            "finished_at_s": round(self.ended_at_s, 3),
            "metadata": dict(self.metadata),
        }


class Span(Protocol):
    """The part of an open span that the work inside it may touch."""

    def note(self, key: str, value: MetadataValue) -> None:
        """Adds metadata; never secrets or prompt text. Beyond 32 notes, more are ignored."""
        ...


class SpanBlock(Protocol):
    """A span as a context manager."""

    def __enter__(self) -> Span: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class AsyncSpanBlock(Protocol):
    """A span as an async context manager."""

    async def __aenter__(self) -> Span: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
