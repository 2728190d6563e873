"""How does one HTTP exchange over ASGI go: the body within its limit, one answer, and a client that may leave?"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from starlette.types import Receive, Scope, Send

from actors.edge.envelope import Header
from actors.edge.gateway import new_request_id
from actors.protocol.errors import PayloadTooLarge

LISTEN_AFTER_S = 0.25  # quicker requests end before it would be noticed that nobody waits, and pay for no second task
DEPARTURE = "troupe.departure"  # the extension of ASGI by which a server tells by itself that a client has left
DRAIN_AT_MOST_S = 10.0
JSON = b"application/json"

_UNPRINTABLE = bytes.maketrans(bytes([*range(32), 127]), b" " * 33)


class ClientGone(Exception):
    """The client has hung up: nobody is left to answer."""


class Departure:
    """Says that a client hung up, to the one who asked to be told."""

    __slots__ = ("_happened", "_tell")

    def __init__(self) -> None:
        self._happened = False
        self._tell: Callable[[], None] | None = None

    def tell(self, whom: Callable[[], None] | None) -> None:
        """Calls `whom` when it happens, now if it has; `None`: nobody asks any more."""
        self._tell = whom
        if whom is not None and self._happened:
            whom()

    def happen(self) -> None:
        """The client has hung up."""
        self._happened = True
        if self._tell is not None:
            self._tell()


class Exchange:
    """One request and its one response."""

    __slots__ = (
        "_body_left",
        "_departure",
        "_max_body_bytes",
        "_receive",
        "_send",
        "extra_headers",
        "headers",
        "key_name",
        "method",
        "path",
        "query",
        "received_s",
        "request_id",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int, received_s: float) -> None:
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        extensions = scope.get("extensions")
        self._departure: Departure | None = extensions and extensions.get(DEPARTURE)
        self.method: str = scope["method"]
        self.path: str = _path_below_root(scope)
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.received_s = received_s
        self.request_id = new_request_id()
        self.key_name: str | None = None
        self.extra_headers: list[Header] = [(b"x-troupe-request-id", self.request_id.encode())]
        self.started = False  # whether the response's headers are out
        self._body_left = b"transfer-encoding" in self.headers or self._declared_bytes() > 0

    async def body(self) -> bytes:
        """The whole request body. Raises `PayloadTooLarge` as soon as it is known to be, `ClientGone`."""
        size = self._declared_bytes()
        parts = []
        if size <= self._max_body_bytes:
            size = 0
            self._body_left = True
        while self._body_left and size <= self._max_body_bytes:
            part = await self._next_part()
            size += len(part)
            parts.append(part)
        if size > self._max_body_bytes:
            raise PayloadTooLarge(
                f"The request body is larger than this gateway's limit of {self._max_body_bytes} bytes."
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def answer(self, status: int, headers: Iterable[Header], body: bytes, content_type: bytes = JSON) -> None:
        """Sends the whole response. Raises `ClientGone`.

        What is left of the request body is read and dropped first: closing a connection with unread input resets
        it, and the client, still writing, would never see the answer.
        """
        unread = self._body_left
        framing = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        if unread and not 0 < self._declared_bytes() <= self._max_body_bytes:
            framing.append((b"connection", b"close"))
        await self.start(status, (*framing, *headers))
        await self.send_part(b"" if self.method == "HEAD" else body, last=not unread)
        if unread:
            await self._drain()
            await self.send_part(b"", last=True)

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Sends status and headers, ours among them. Raises `ClientGone`."""
        self.started = True
        head = [*headers, *self.extra_headers]
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": head})
        except OSError:
            raise ClientGone from None

    async def send_part(self, data: bytes, *, last: bool = False) -> None:
        """Sends a piece of the response's body; waits while the client reads too slowly. Raises `ClientGone`."""
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except OSError:
            raise ClientGone from None

    def watch(self) -> "ClientWatch":
        """A scope whose work is cancelled when the client hangs up. Only for after the body was read."""
        return ClientWatch(self._receive, self._departure)

    async def _next_part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._body_left = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_AT_MOST_S):
                while self._body_left:
                    await self._next_part()

    def _declared_bytes(self) -> int:
        length = self.headers.get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0


class ClientWatch:
    """Cancels the task inside it when the client hangs up, and raises `ClientGone` in place of that cancellation.

    Ray Serve cancels by itself, our listener tells of it, other ASGI servers only tell those who listen. A
    cancellation from elsewhere passes through unchanged.
    """

    __slots__ = ("_departure", "_gone", "_listener", "_loop", "_receive", "_timer", "_watched")

    def __init__(self, receive: Receive, departure: Departure | None = None) -> None:
        self._receive = receive
        self._departure = departure
        self._gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._watched: asyncio.Task[Any] | None = asyncio.current_task()
        if self._departure is not None:
            self._departure.tell(self._leave)
        else:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(LISTEN_AFTER_S, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._departure is not None:
            self._departure.tell(None)
        elif self._timer is not None:
            self._timer.cancel()
        if self._listener is not None and not self._listener.cancel() and not self._listener.cancelled():
            self._listener.exception()  # a broken `receive` is no news of the client, but counts as looked at
        if self._gone and self._watched is not None:
            cancelled_elsewhere = self._watched.uncancel() > 0
            if not cancelled_elsewhere and (kind is None or kind is asyncio.CancelledError):
                raise ClientGone from None

    def _begin(self) -> None:
        self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._leave()

    def _leave(self) -> None:
        self._gone = True
        if self._watched is not None:
            self._watched.cancel()


def encoded(headers: Mapping[str, str]) -> list[Header]:
    """Headers as ASGI wants them; what a header cannot hold is replaced, so that a name never breaks a response."""
    return [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace").translate(_UNPRINTABLE))
        for name, value in headers.items()
    ]


def _path_below_root(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path
