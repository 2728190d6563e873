"""What answers at once, so that everything beyond it is the gateway's own cost?

    python -m actors.benching.upstream --port 9000
    python -m actors.benching.upstream --delay-ms 20 200     # evenly between these, to look at percentiles

A server of fixed OpenAI chat completions, on one process. A streamed one comes at a fixed rate, and each of its pieces
carries the moment at which it was sent, on the clock that all processes of a machine share.
"""

import argparse
import asyncio
import json
import random
import re
import sys
from functools import partial
from typing import cast

import httptools
import uvloop

from actors.protocol.clock import SYSTEM_CLOCK

CHUNKS = 200
CHUNKS_PER_S = 20.0
MODEL = "instant"
ANSWER = "45"
USAGE = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": USAGE,
}
STREAM = re.compile(rb'"stream"\s*:\s*true')
CHUNKS_WISH = re.compile(rb'"max_tokens"\s*:\s*(\d+)')
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _part(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(delta: dict[str, str], finish_reason: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """One event of a stream, framed as SSE and as a part of a chunked body."""
    payload: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    if usage is not None:
        payload["usage"] = usage
    return _part(b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n")


def stamped_text(moment_s: float) -> str:
    """A piece of text that tells when it was sent: read it with `SENT`."""
    return f"t={moment_s:.7f};"


SENT = re.compile(rb"t=(\d+\.\d{7});")
FIXED = _response(json.dumps(COMPLETION).encode())
ENDING = event({}, "stop", USAGE) + _part(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client: requests one after another, each read to the end of its body before it is answered.

    `delay_ms`: between which a whole answer is held back.
    """

    def __init__(self, delay_ms: tuple[float, float] | None = None) -> None:
        self._delay_ms = delay_ms
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self._next is not None:
            self._next.cancel()

    # ---- what the parser says ----

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if STREAM.search(body):
            wish = CHUNKS_WISH.search(body)
            self._write(STREAM_HEAD)
            self._send(1, int(wish[1]) if wish else CHUNKS, asyncio.get_running_loop().time())
        elif self._delay_ms is None:
            self._write(FIXED)
        else:
            delay_s = random.uniform(*self._delay_ms) / 1e3
            self._next = asyncio.get_running_loop().call_later(delay_s, self._write, FIXED)

    def _send(self, number: int, chunks: int, due_s: float) -> None:
        """Sends chunk `number`, of so many, which was due at `due_s` of the loop's time, and plans the next."""
        text = stamped_text(SYSTEM_CLOCK.monotonic_s())
        first = {"role": "assistant"} if number == 1 else {}
        self._write(event({**first, "content": text}))
        if number == chunks:
            self._write(ENDING)
            return
        due_s += 1 / CHUNKS_PER_S
        self._next = asyncio.get_running_loop().call_at(due_s, self._send, number + 1, chunks, due_s)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(port: int, delay_ms: tuple[float, float] | None = None) -> None:
    """Serves on loopback until it is cancelled. Prints its base URL once it listens."""
    connect = partial(Connection, delay_ms)
    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", port, backlog=2048)
    print(f"READY http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--delay-ms", type=float, nargs=2, metavar=("LEAST", "MOST"))
    asked = parser.parse_args()
    try:
        uvloop.run(serve(asked.port, tuple(asked.delay_ms) if asked.delay_ms else None))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
