"""The listener: HTTP on a socket that only has a name."""

import asyncio
import uuid

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from actors.edge.exchange import ClientGone, ClientWatch, Departure, Exchange
from actors.edge.listener import Corked, Listener


class Written(asyncio.Transport):
    """A transport that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.events.append(bytes(data))

    def close(self) -> None:
        self.events.append("closed")


def address() -> bytes:
    return b"\0" + f"troupe-test-{uuid.uuid4().hex}".encode()


def client(to: bytes) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=to.decode()), base_url="http://replica")


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def test_requests_are_answered_on_a_name_without_a_port_or_a_file() -> None:
    name = address()
    listener = Listener(slow, name, drain_within_s=5)
    listener.start()

    async with client(name) as http:
        reply = await http.get("/anything")

    await listener.close()
    assert (reply.status_code, reply.text) == (200, "ok")


async def test_closing_lets_running_requests_finish_and_takes_no_new_ones() -> None:
    name = address()
    listener = Listener(slow, name, drain_within_s=5)
    listener.start()

    async with client(name) as http:
        running = asyncio.create_task(http.get("/"))
        await asyncio.sleep(0.02)
        await listener.close()

        assert (await running).text == "ok"
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


async def test_a_request_that_outlasts_its_time_is_ended() -> None:
    name = address()
    listener = Listener(endless, name, drain_within_s=0)
    listener.start()

    async with client(name) as http:
        running = asyncio.create_task(http.get("/"))
        await asyncio.sleep(0.02)
        await listener.close()

        assert (await running).status_code == 500


async def test_who_is_watched_is_left_as_soon_as_its_client_has_hung_up() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, max_body_bytes=100, received_s=0.0)
        await exchange.body()
        try:
            with exchange.watch():
                begun.set()
                await asyncio.Event().wait()
        except ClientGone:
            left.set()

    name = address()
    listener = Listener(watched, name, drain_within_s=5)
    listener.start()
    async with client(name) as http:
        running = asyncio.create_task(http.post("/", content=b"{}"))
        await begun.wait()
        running.cancel()
        async with asyncio.timeout(5):
            await left.wait()
    await listener.close()


async def test_a_client_that_hung_up_before_it_was_watched_is_gone_at_once() -> None:
    departure = Departure()
    departure.happen()

    async def nobody_listens() -> Message:
        raise AssertionError("what is told is not listened for")

    with pytest.raises(ClientGone), ClientWatch(nobody_listens, departure):
        await asyncio.Event().wait()


async def test_a_name_is_taken_once() -> None:
    name = address()
    first = Listener(slow, name, drain_within_s=5)

    with pytest.raises(OSError, match="in use"):
        Listener(slow, name, drain_within_s=5)
    await first.close()


async def test_a_head_leaves_with_the_first_piece_of_its_body_and_later_pieces_at_once() -> None:
    transport = Written()
    corked = Corked(transport, asyncio.get_running_loop())

    for piece in (b"HTTP/1.1 200 OK ", b"one", b"two"):
        corked.write(piece)

    assert transport.events == [b"HTTP/1.1 200 OK one", b"two"]
    await asyncio.sleep(0)
    assert len(transport.events) == 2


async def test_a_head_without_a_body_leaves_by_itself() -> None:
    transport = Written()
    corked = Corked(transport, asyncio.get_running_loop())

    corked.write(b"HTTP/1.1 204 No Content ")
    await asyncio.sleep(0)

    assert transport.events == [b"HTTP/1.1 204 No Content "]


async def test_closing_sends_a_head_that_waits_and_nothing_twice() -> None:
    transport = Written()
    corked = Corked(transport, asyncio.get_running_loop())

    corked.write(b"HTTP/1.1 400 Bad Request ")
    corked.close()
    await asyncio.sleep(0)

    assert transport.events == [b"HTTP/1.1 400 Bad Request ", "closed"]
