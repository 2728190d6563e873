"""What answers at once?"""

import asyncio
import json
from typing import cast

from actors.benching.target import request_body
from actors.benching.upstream import ANSWER, SENT, Connection


class RecordingTransport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.written += b"closed"


def connected() -> tuple[Connection, RecordingTransport]:
    connection, transport = Connection(), RecordingTransport()
    connection.connection_made(cast(asyncio.Transport, transport))
    return connection, transport


def request(body: bytes) -> bytes:
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def test_every_request_on_a_connection_gets_the_same_completion() -> None:
    connection, transport = connected()

    connection.data_received(request(request_body("instant")) * 2)

    _, first, second = transport.written.split(b"HTTP/1.1 200 OK")
    completion = json.loads(first.partition(b"\r\n\r\n")[2])
    assert completion["choices"][0]["message"]["content"] == ANSWER
    assert completion["usage"]["total_tokens"] == 21
    assert first == second


def test_a_body_is_read_to_its_end_before_it_is_answered() -> None:
    connection, transport = connected()
    data = request(request_body("instant", 256 * 1024))

    connection.data_received(data[:-1])
    before = transport.written
    connection.data_received(data[-1:])

    assert before == b""
    assert transport.written.startswith(b"HTTP/1.1 200 OK")


def test_what_is_not_http_is_hung_up_on() -> None:
    connection, transport = connected()

    connection.data_received(b"hello\r\n\r\n")

    assert transport.written == b"closed"


async def test_a_stream_of_one_chunk_is_stamped_and_ends_as_openai_ends_it() -> None:
    connection, transport = connected()

    connection.data_received(request(request_body("instant", stream=True, max_tokens=1)))

    events = [line[6:] for line in transport.written.split(b"\n") if line.startswith(b"data: ")]
    content, final, done = events
    assert json.loads(content)["choices"][0]["delta"]["role"] == "assistant"
    assert SENT.search(content)
    assert json.loads(final)["choices"][0]["finish_reason"] == "stop"
    assert json.loads(final)["usage"]["total_tokens"] == 21
    assert done == b"[DONE]"
    assert transport.written.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_gets_no_further_chunk() -> None:
    connection, transport = connected()
    connection.data_received(request(request_body("instant", stream=True, max_tokens=3)))
    sent = transport.written

    connection.connection_lost(None)
    await asyncio.sleep(0)

    assert transport.written == sent
    assert len(SENT.findall(sent)) == 1
