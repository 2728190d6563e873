"""What does each part need of the others? Protocols; Ray, HTTP and fakes stand behind them."""

from collections.abc import AsyncIterator
from typing import Protocol

from actors.protocol.messages import Call, Chunk, Completion


class ModelPort(Protocol):
    """Something that answers a call: a provider, an actor around one, or a wrapper around either.

    Both methods raise errors of the `LLMError` tree only, and `asyncio.CancelledError`. Cancelling the task that
    awaits `complete`, or closing the iterator of `stream`, stops the work behind it, upstream included.
    """

    async def complete(self, call: Call) -> Completion:
        """The whole answer."""
        ...

    def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """The answer's events in order; ends normally only when the upstream said that it was complete.

        The last chunk with a `finish_reason` may be followed by chunks that carry only `usage`.
        """
        ...


class Provider(ModelPort, Protocol):
    """A model port that owns its connection or its weights."""

    async def start(self) -> None:
        """Loads or connects; raises `LLMError` when that cannot work."""
        ...

    async def probe(self) -> None:
        """Returns if the model could be asked now, raises `BackendError` if not. Never asks for a completion."""
        ...

    async def aclose(self) -> None:
        """Stops running work and frees what is held. Safe to call twice."""
        ...
