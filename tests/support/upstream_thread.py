"""How does a gateway in another process get an upstream that a test can look into? A local server in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.unit.providers.upstream_server import (
    Behaviour,
    UpstreamServer,
    answer,
    completion,
    event,
    events,
    serving,
    silence,
    whole,
)

TEXT = "Words from far away."


async def behave(request: web.Request) -> web.StreamResponse:
    """Answers `TEXT`; for a question that holds `hang`, never or (in a stream) never more than a word."""
    body = await request.json()
    hangs = "hang" in body["messages"][-1]["content"]
    if body.get("stream"):
        parts = [event({"content": "Words"})] if hangs else answer(TEXT)
        return await events(parts, "silence" if hangs else "clean")(request)
    return await (silence if hangs else whole(completion(TEXT)))(request)


@contextmanager
def upstream_in_thread(behaviour: Behaviour = behave) -> Iterator[UpstreamServer]:
    """An upstream that runs beside the test, for as long as the block does."""
    started = threading.Event()
    found: list[UpstreamServer] = []
    ending: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        end = asyncio.Event()
        async with serving(behaviour) as server:
            found.append(server)
            ending.append((asyncio.get_running_loop(), end))
            started.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(20)
    try:
        yield found[0]
    finally:
        loop, end = ending[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(20)
