"""How do requests reach a replica without the cost of Ray Serve's own handling of each of them?

Serve decides which replicas there are, watches over them and tells HAProxy; but its path through a replica costs more
than ours. So each replica also listens by itself, and our HAProxy launcher sends requests there.
"""

import asyncio
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from actors.edge.exchange import DEPARTURE, Departure

BACKLOG = 2048
KEEP_ALIVE_S = 600  # HAProxy closes idle connections, never we: a request could be on its way


class Corking(HttpToolsProtocol):
    """Sends the head of a response with the first piece of its body: each write wakes HAProxy, and that the client.

    That a client has left is told at once, to whoever has asked for it.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]  # what uvicorn uses of it

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[Any, Any] = {DEPARTURE: Departure()}
        self.scope["extensions"] = extensions

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            extensions: dict[Any, Any] = self.cycle.scope["extensions"]
            extensions[DEPARTURE].happen()


class Corked:
    """A transport that keeps a response's head until more comes, at most until the event loop has come round."""

    __slots__ = ("_head", "_loop", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            data, self._head = self._head, b""
            self._transport.write(data)


class Listener:
    """An HTTP server on a socket that has a name only on this machine (Linux's abstract namespace).

    The name needs no port and no file, and vanishes with the process. Raises `OSError` where there is no such thing.
    """

    def __init__(self, app: ASGIApp, address: bytes, drain_within_s: int) -> None:
        """`drain_within_s`: how long running requests may still take when it is closed."""
        config = uvicorn.Config(
            app,
            loop="none",
            http=Corking,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_within_s,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._serving: asyncio.Task[None] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise

    def start(self) -> None:
        """Takes requests from now on."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._socket.listen(BACKLOG)
        self._serving = asyncio.create_task(self._server.serve([self._socket]), name="that serves HTTP")

    async def close(self) -> None:
        """Takes no new connection, and returns when the running requests have ended or had their time."""
        self._server.should_exit = True
        if self._serving is None:
            self._socket.close()
        else:
            await self._serving
