"""How does a contestant fare under many streams at once?"""

import asyncio
import json
from typing import cast

import pytest

from actors.benching.streaming_load import Job, Reader, request_bytes, summed_up
from actors.benching.upstream import stamped_text
from actors.protocol.clock import SYSTEM_CLOCK

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
DONE = b"data: [DONE]\n\n"


class RecordingTransport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


def chunk(sent_s_ago: float = 0.0) -> bytes:
    return b'data: {"content":"%b"}\n\n' % stamped_text(SYSTEM_CLOCK.monotonic_s() - sent_s_ago).encode()


def asked(chunks: int) -> tuple[Reader, RecordingTransport]:
    reader, transport = Reader(b"POST", chunks), RecordingTransport()
    reader.connection_made(cast(asyncio.Transport, transport))
    reader.ask()
    return reader, transport


async def test_a_stream_is_whole_when_every_chunk_and_the_end_came() -> None:
    reader, transport = asked(2)

    for data in (HEAD + chunk(), chunk(), DONE):
        reader.data_received(data)

    assert transport.written == b"POST"
    assert reader.whole
    assert reader.ended.is_set()
    assert transport.closed


async def test_a_lag_is_the_time_since_the_chunk_was_sent() -> None:
    reader, _ = asked(2)

    reader.data_received(HEAD + chunk(sent_s_ago=5.0) + chunk(sent_s_ago=7.0))

    assert reader.lags_s == [pytest.approx(5.0, abs=0.5), pytest.approx(7.0, abs=0.5)]
    assert reader.first_s == pytest.approx(0.0, abs=0.5)


async def test_a_chunk_that_comes_in_pieces_counts_once() -> None:
    reader, _ = asked(1)
    data = HEAD + chunk() + DONE

    for position in range(len(data)):
        reader.data_received(data[position : position + 1])

    assert len(reader.lags_s) == 1
    assert reader.whole


@pytest.mark.parametrize(
    "data",
    [HEAD + chunk() + DONE, HEAD + DONE, HEAD.replace(b"200 OK", b"500 Oh") + chunk() + chunk() + DONE],
    ids=["a chunk is missing", "no chunk", "an error"],
)
async def test_a_stream_with_less_is_not_whole(data: bytes) -> None:
    reader, _ = asked(2)

    reader.data_received(data)

    assert not reader.whole


async def test_a_lost_connection_ends_a_stream_that_is_not_whole() -> None:
    reader, _ = asked(1)

    reader.connection_lost(None)

    assert reader.ended.is_set()
    assert not reader.whole


async def test_streams_are_summed_up_in_milliseconds() -> None:
    first, second = asked(1)[0], asked(1)[0]
    first.lags_s, first.first_s, first.whole = [0.001, 0.002], 0.010, True
    second.lags_s, second.first_s = [0.004], 0.020

    seen = summed_up([first, second])

    assert (seen.lag_p50_ms, seen.lag_p99_ms, seen.first_p50_ms, seen.first_p99_ms) == (2.0, 4.0, 10.0, 20.0)
    assert (seen.chunks, seen.broken) == (3, 1)


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="no values"):
        summed_up([])


def test_a_request_is_http() -> None:
    body = json.dumps({"stream": True})

    head, _, sent = request_bytes(Job("http://h:1/v1/x", {"authorization": "Bearer k"}, body, 1, 1)).partition(
        b"\r\n\r\n"
    )

    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert {"host: h:1", "authorization: Bearer k", f"content-length: {len(body)}"} <= set(lines)
    assert sent.decode() == body
