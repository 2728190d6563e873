"""How is a stream handed on without a cost for each of its items?"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")
Item = TypeVar("Item", covariant=True)


class Closeable(Protocol[Item]):
    """An async iterator that must be closed, also after its end: an async generator, or a stream handed on."""

    def __aiter__(self) -> AsyncIterator[Item]: ...

    def __anext__(self) -> Awaitable[Item]: ...

    async def aclose(self) -> None: ...


class HandedOn(Generic[T]):
    """The items of a stream, those already taken from it first; closing it calls `on_close`, once.

    A generator around a generator would cost another step of both for each item.
    """

    __slots__ = ("_on_close", "_rest", "_taken")

    def __init__(self, rest: AsyncIterator[T], on_close: Callable[[], Awaitable[None]], *taken: T) -> None:
        self._rest = rest
        self._on_close: Callable[[], Awaitable[None]] | None = on_close
        self._taken = list(reversed(taken))

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        return self._take() if self._taken else self._rest.__anext__()

    async def aclose(self) -> None:
        """Ends the stream; safe to call again."""
        on_close, self._on_close = self._on_close, None
        self._taken.clear()
        if on_close is not None:
            await on_close()

    async def _take(self) -> T:
        return self._taken.pop()
