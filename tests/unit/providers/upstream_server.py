"""How does an upstream misbehave? A real local HTTP server that answers as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import web

from actors.providers.openai import OpenAI

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
End = Literal["clean", "cut", "silence"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class UpstreamServer:
    """Behaves as `plan` says, call after call; its last entry goes on forever."""

    plan: list[Behaviour]
    base_url: str = ""
    seen: list[Seen] = field(default_factory=list)
    models_status: int = 200
    open_requests: int = 0
    connections: set[object] = field(default_factory=set)

    @property
    def completions(self) -> int:
        return sum(seen.path.endswith("/chat/completions") for seen in self.seen)

    async def has(self, open_requests: int) -> bool:
        """Whether that many requests are open within a second."""
        for _ in range(200):
            if self.open_requests == open_requests:
                return True
            await asyncio.sleep(0.005)
        return False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = orjson.loads(raw) if raw else None
        self.seen.append(Seen(request.method, request.path, dict(request.headers), body))
        self.connections.add(request.transport)
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": []}, status=self.models_status)
        behave = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        self.open_requests += 1
        try:
            return await behave(request)
        finally:
            self.open_requests -= 1


@asynccontextmanager
async def serving(*plan: Behaviour) -> AsyncGenerator[UpstreamServer, None]:
    """A server on a free port of this machine, for as long as the block runs."""
    server = UpstreamServer(list(plan))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.base_url = f"http://{host}:{port}/v1"
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(*plan: Behaviour, **limits_s: float) -> AsyncGenerator[tuple[OpenAI, UpstreamServer], None]:
    """A provider for a server that behaves as planned."""
    async with serving(*plan) as server:
        provider = OpenAI("far", server.base_url + "/", "sk-very-secret", "upstream-model", **limits_s)  # type: ignore[arg-type]
        try:
            yield provider, server
        finally:
            await provider.aclose()


def whole(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answers with a body: JSON for an object, as it is for bytes."""

    async def behave(request: web.Request) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(status=status, body=raw, headers={"Content-Type": "application/json", **(headers or {})})

    return behave


def events(parts: Sequence[bytes | float], end: End = "clean") -> Behaviour:
    """Streams the parts, a number being a pause in seconds, and then ends as told."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            if isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        if end == "cut":
            assert request.transport is not None
            request.transport.abort()
        if end == "silence":
            await asyncio.Event().wait()
        return response

    return behave


async def silence(request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def reset(request: web.Request) -> web.StreamResponse:
    """Closes the connection before any header."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def raw(data: bytes, hold: bool = False) -> Behaviour:
    """Sends bytes that need not be HTTP, then closes, or holds the connection open."""

    async def behave(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(data)
        if hold:
            await asyncio.Event().wait()
        request.transport.close()
        return web.Response()

    return behave


def flood(head: bytes, part: bytes) -> Behaviour:
    """Sends a head, then the same part again and again until the client goes."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(head)
        while True:
            await response.write(part)
            await asyncio.sleep(0)

    return behave


def completion(text: str | None, finish_reason: str | None = "stop", **more: object) -> dict[str, Any]:
    """An OpenAI completion of 3 prompt tokens and as many completion tokens as words."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "upstream-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, **more}],
        "usage": usage(len((text or "").split())),
    }


def usage(completion_tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": completion_tokens, "total_tokens": 3 + completion_tokens}


def event(delta: Mapping[str, object] | None = None, finish_reason: str | None = None, **more: object) -> bytes:
    """One event with one choice; without a delta or finish reason, with no choice."""
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}]
    if delta is None and finish_reason is None:
        choices = []
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "upstream-model", "choices": choices}
    return b"data: " + orjson.dumps(chunk | more) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def answer(text: str) -> list[bytes | float]:
    """The events of a whole answer, a word each."""
    words = [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": word}) for word in words),
        event(finish_reason="stop"),
        event(usage=usage(len(words))),
        DONE,
    ]
