"""What does it cost to read a request and to write its reply?"""

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.edge import replies, sse
from actors.edge.gateway import ChatRequest
from actors.edge.wire import chat_request, json_object
from benchmarks.micro.driving import COMPLETION, record

KB = 1024
EVENT = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word"}}]}'


def body_of(size: int) -> bytes:
    """A conversation of about so many bytes, in messages of at most 4 KB."""
    messages = [{"role": "user", "content": "word " * 800} for _ in range(size // (4 * KB))]
    messages.append({"role": "user", "content": "word " * (size % (4 * KB) // 5)})
    return orjson.dumps({"model": "company", "messages": messages, "temperature": 0.2, "max_tokens": 100})


@pytest.mark.parametrize("size_kb", [1, 16, 256])
def test_reading_a_request(benchmark: BenchmarkFixture, size_kb: int) -> None:
    raw = body_of(size_kb * KB)

    def read() -> ChatRequest:
        return chat_request(json_object(raw, {b"content-type": b"application/json"}))

    assert benchmark(read).model == "company"


@pytest.mark.parametrize("size_kb", [1, 16, 256])
def test_writing_the_upstream_s_request(benchmark: BenchmarkFixture, size_kb: int) -> None:
    body = chat_request(orjson.loads(body_of(size_kb * KB))).body

    assert benchmark(lambda: orjson.dumps({**body, "model": "upstream-model"})).startswith(b'{"messages"')


def test_writing_a_reply(benchmark: BenchmarkFixture) -> None:
    finished = record(1)

    def write() -> bytes:
        replies.headers(finished.backend, len(finished.attempts), finished.overhead_ms, finished.cost_usd)
        return orjson.dumps({**COMPLETION.body, "troupe": replies.troupe_object(finished)})

    assert orjson.loads(benchmark(write))["troupe"]["backend"] == "instant"


def test_framing_an_event(benchmark: BenchmarkFixture) -> None:
    assert benchmark(sse.frame, EVENT) == b"data: " + EVENT + b"\n\n"


def test_telling_a_stream_s_end(benchmark: BenchmarkFixture) -> None:
    finished = record(1)

    assert b'"troupe"' in benchmark(lambda: sse.frame(replies.with_troupe(EVENT, finished)))
