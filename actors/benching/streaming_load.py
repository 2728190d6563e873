"""How does a contestant fare under many streams at once: when does the first chunk come, how late is each?

    python -m actors.benching.streaming_load < JOB.json

A process of its own reads the streams, so that nothing else delays it. Each chunk carries the moment at which the
upstream sent it.
"""

import asyncio
import gc
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from actors.benching.results import percentile
from actors.benching.target import Target, request_body
from actors.benching.upstream import CHUNKS_PER_S, SENT
from actors.protocol.clock import SYSTEM_CLOCK
from actors.protocol.errors import LLMError

SEED = 7  # the streams begin at the same moments for all contestants
BEGIN_WITHIN_S = 1.0
MARGIN_S = 20.0
SUCCESS = b"HTTP/1.1 200"
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Job:
    """So many streams of so many chunks; `body` asks for one of them."""

    url: str
    headers: Mapping[str, str]
    body: str
    streams: int
    chunks: int

    @property
    def time_limit_s(self) -> float:
        return self.chunks / CHUNKS_PER_S + BEGIN_WITHIN_S + MARGIN_S


@dataclass(frozen=True, slots=True)
class Streamed:
    """What the reader saw, in ms: `first` from a request to its first chunk, `lag` of each chunk from its sending.

    `chunks`: how many came. `broken`: streams that did not come whole.
    """

    first_p50_ms: float
    first_p95_ms: float
    first_p99_ms: float
    lag_p50_ms: float
    lag_p95_ms: float
    lag_p99_ms: float
    chunks: int
    broken: int


def stream(target: Target, streams: int, chunks: int) -> Streamed:
    """Reads so many streams of so many chunks side by side. Raises `LLMError` when not a single chunk comes."""
    body = request_body(target.model, stream=True, max_tokens=chunks)
    job = Job(target.url, target.headers, body.decode(), streams, chunks)
    command = [sys.executable, "-m", "actors.benching.streaming_load"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=job.time_limit_s + MARGIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LLMError("The reader of the streams did not end.") from error
    if done.returncode != 0:
        raise LLMError(f"No stream could be read: {done.stderr.strip()[-300:]}")
    return Streamed(**json.loads(done.stdout))


class Reader(asyncio.Protocol):
    """One stream on a connection of its own. Lags and times are in seconds."""

    def __init__(self, request: bytes, chunks: int) -> None:
        self.lags_s: list[float] = []
        self.first_s: float | None = None
        self.whole = False
        self.ended = asyncio.Event()
        self._request = request
        self._chunks = chunks
        self._asked_s = 0.0
        self._unread = b""
        self._accepted = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)

    def ask(self) -> None:
        """Sends the request."""
        if self._transport is not None:
            self._asked_s = SYSTEM_CLOCK.monotonic_s()
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_s = SYSTEM_CLOCK.monotonic_s()
        unread = self._unread + data
        self._accepted = self._accepted or unread.startswith(SUCCESS)
        read_to = 0
        for found in SENT.finditer(unread):
            self.lags_s.append(now_s - float(found[1]))
            read_to = found.end()
        if self.first_s is None and self.lags_s:
            self.first_s = now_s - self._asked_s
        self._unread = unread[read_to:]
        if DONE in self._unread:
            self.whole = self._accepted and len(self.lags_s) == self._chunks
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self.ended.set()

    def close(self) -> None:
        self.ended.set()
        if self._transport is not None:
            self._transport.close()


async def read_all(job: Job) -> list[Reader]:
    """Every stream, read to its end or to the end of the time limit; they begin at fixed but scattered moments."""
    parts = urlsplit(job.url)
    host, port = parts.hostname or "", parts.port or 80
    moments = random.Random(SEED)
    loop = asyncio.get_running_loop()
    readers = [Reader(request_bytes(job), job.chunks) for _ in range(job.streams)]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, host, port)  # type: ignore[misc]
    for reader in readers:
        loop.call_later(moments.uniform(0, BEGIN_WITHIN_S), reader.ask)
    try:
        async with asyncio.timeout(job.time_limit_s):
            for reader in readers:
                await reader.ended.wait()
    except TimeoutError:  # what has not ended is not whole
        pass
    finally:
        for reader in readers:
            reader.close()
    return readers


def request_bytes(job: Job) -> bytes:
    """The request as it goes over the connection."""
    parts = urlsplit(job.url)
    body = job.body.encode()
    headers = {"host": parts.netloc, "content-type": "application/json", "content-length": len(body), **job.headers}
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def summed_up(readers: Sequence[Reader]) -> Streamed:
    """What the readers saw together. Raises `ValueError` when that is nothing."""
    lags_s = sorted(lag_s for reader in readers for lag_s in reader.lags_s)
    firsts_s = sorted(reader.first_s for reader in readers if reader.first_s is not None)
    return Streamed(
        first_p50_ms=percentile(firsts_s, 0.5) * 1e3,
        first_p95_ms=percentile(firsts_s, 0.95) * 1e3,
        first_p99_ms=percentile(firsts_s, 0.99) * 1e3,
        lag_p50_ms=percentile(lags_s, 0.5) * 1e3,
        lag_p95_ms=percentile(lags_s, 0.95) * 1e3,
        lag_p99_ms=percentile(lags_s, 0.99) * 1e3,
        chunks=len(lags_s),
        broken=sum(not reader.whole for reader in readers),
    )


def main() -> None:
    job = Job(**json.load(sys.stdin))
    gc.disable()  # it lives for seconds
    readers = uvloop.run(read_all(job))
    try:
        print(json.dumps(asdict(summed_up(readers))))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
