"""What is the least that a gateway in Python can do: pass a request on, and the answer back?"""

import os

import aiohttp
from starlette.types import Receive, Scope, Send

UPSTREAM_VARIABLE = "TROUPE_BENCH_UPSTREAM"
CHAT = "/v1/chat/completions"


class Passthrough:
    """A plain ASGI application that knows nothing of what it carries; streams are passed on piece by piece."""

    def __init__(self, upstream_url: str) -> None:
        self._url = f"{upstream_url}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["path"] == CHAT:
            await self._pass_on(await _body(receive), send)
        else:  # Ray Serve asks for its own health checks elsewhere
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _pass_on(self, body: bytes, send: Send) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        headers = {"content-type": "application/json", "authorization": "Bearer sk-upstream"}
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            kind = answer.headers.get("content-type", "application/json")
            start = {"type": "http.response.start", "status": answer.status}
            if not kind.startswith("text/event-stream"):
                content = await answer.read()
                length = (b"content-length", b"%d" % len(content))
                await send({**start, "headers": [(b"content-type", kind.encode()), length]})
                await send({"type": "http.response.body", "body": content})
                return
            await send({**start, "headers": [(b"content-type", kind.encode())]})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def from_environment() -> Passthrough:
    """The application for uvicorn's `--factory`."""
    return Passthrough(os.environ[UPSTREAM_VARIABLE])


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
