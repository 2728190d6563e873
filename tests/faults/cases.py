"""What may a provider do wrong, and what must the caller see?

Each fault is the name of an upstream model that misbehaves in that way: for a question, the first behaviours strike
its first calls, the last one all others. `whole` is for a request without `stream`; where it is empty, there is none.
"""

import asyncio
import gzip
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from aiohttp import web

from tests.unit.providers.upstream_server import (
    DONE,
    Behaviour,
    answer,
    completion,
    event,
    events,
    flood,
    raw,
    reset,
    silence,
    usage,
    whole,
)

TEXT = "one two three four five six seven eight nine ten"
OTHER = "uno due tre quattro cinque sei sette otto nove dieci"
HALF = "one two three four five"
REASON = "as the provider says"
JSON = {"Content-Type": "application/json"}

Expected = Literal["rescued", "refused", "broken"]
"""The complete answer; the provider's reason with its status; an error within the stream, and no clean end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. `then`: which model answers when it is given up; `calls`: most calls to it per question."""

    about: str
    stream: tuple[Behaviour, ...]
    whole: tuple[Behaviour, ...] = ()
    expected: Expected = "rescued"
    then: str = "good"
    calls: int = 3
    least_s: float = 0.0
    most_s: float = 45.0
    tls: bool = False


def _answer(text: str = TEXT) -> tuple[Behaviour, Behaviour]:
    return events(answer(text)), whole(completion(text))


GOOD_STREAM, GOOD = _answer()
START = [event({"role": "assistant", "content": ""})]
FIRST_HALF = [*START, *(event({"content": word}) for word in ("one", " two", " three", " four", " five"))]
TOOL_CALL = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]
REST_OF_IT = [{"index": 0, "function": {"arguments": '{"city": "Par'}}]
SECOND_HALF = [event({"content": word}) for word in (" six", " seven", " eight", " nine", " ten")]
STOP = event(finish_reason="stop")
USAGE = event(usage=usage(10))
HTML = b"<!doctype html><html><body>It works!</body></html>"


def refusal(status: int, message: str = REASON, code: str | None = None, **headers: str) -> tuple[Behaviour, ...]:
    """The same refusal whether streaming or not."""
    body = {"error": {"message": message, "type": "error", "code": code}}
    return (whole(body, status, {name.replace("_", "-"): value for name, value in headers.items()}),)


async def limited_until_a_date(request: web.Request) -> web.StreamResponse:
    """429 with the date of the next full second but one."""
    date = formatdate(int(time.time()) + 2, usegmt=True)
    return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": date})


def cut(length: int = 400) -> Behaviour:
    """Half of a whole answer, though more was announced."""
    body = b'{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "one two'
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (length, body))


def held(data: bytes) -> Behaviour:
    """Bytes, and then nothing more on an open connection."""
    return raw(data, hold=True)


async def redirecting(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})


def endless(kind: str) -> Behaviour:
    """A body without an end."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            await response.write(b'{"a": "' + b"x" * 65536)
            await asyncio.sleep(0)

    return behave


BOMB = gzip.compress(b"\0" * 200_000_000)
PACKED = {"Content-Encoding": "gzip"}
SLOW_DOWN = "slow down"

FAULTS: Mapping[str, Fault] = {
    "429-seconds": Fault(
        "429 with Retry-After: 1",
        (*refusal(429, SLOW_DOWN, Retry_After="1"), GOOD_STREAM),
        (*refusal(429, SLOW_DOWN, Retry_After="1"), GOOD),
        least_s=1.0,
        calls=2,
    ),
    "429-long": Fault(
        "429 with Retry-After: 9, though another member is well",
        refusal(429, SLOW_DOWN, Retry_After="9"),
        refusal(429, SLOW_DOWN, Retry_After="9"),
        calls=1,
        most_s=9.0,
    ),
    "429-ms": Fault(
        "429 with retry-after-ms: 400",
        (*refusal(429, SLOW_DOWN, retry_after_ms="400"), GOOD_STREAM),
        (*refusal(429, SLOW_DOWN, retry_after_ms="400"), GOOD),
        least_s=0.4,
        calls=2,
    ),
    "429-date": Fault(
        "429 with Retry-After: a date",
        (limited_until_a_date, GOOD_STREAM),
        (limited_until_a_date, GOOD),
        least_s=1.0,
        calls=2,
    ),
    "429-forever": Fault("429 without a date, for ever", refusal(429, SLOW_DOWN), refusal(429, SLOW_DOWN)),
    "503-forever": Fault("503 for ever", refusal(503), refusal(503)),
    "500-once": Fault("500 once", (*refusal(500), GOOD_STREAM), (*refusal(500), GOOD), then="other", calls=2),
    "reset": Fault("TCP reset before any header", (reset,), (reset,)),
    "silence": Fault("no answer at all", (silence,), (silence,), calls=1),
    "slow-first-token": Fault("headers, then no token", (events([b": wait\n\n"], "silence"),), calls=1),
    "cut": Fault("cut in the middle", (events(FIRST_HALF, "cut"),), (cut(),)),
    "cut-other": Fault(
        "cut in the middle; the next member says something else",
        (events(FIRST_HALF, "cut"),),
        expected="broken",
        then="other",
    ),
    "stall": Fault(
        "stalled in the middle",
        (events(FIRST_HALF, "silence"),),
        (held(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b'{"id": '),),
        calls=1,
    ),
    "malformed-event": Fault(
        "an event that is not JSON, beside the text",
        (events([*FIRST_HALF, b"data: {bad json}\n\n", *SECOND_HALF, STOP, USAGE, DONE]),),
        (whole(b"not JSON at all"),),
    ),
    "malformed-text": Fault(
        "an event with a piece of the text that is cut off",
        (
            events(
                [*FIRST_HALF, b'data: {"choices":[{"index":0,"delta":{"content":" si\n\n', *SECOND_HALF[1:], STOP, DONE]
            ),
        ),
        (whole({"choices": [{"message": "odd"}]}),),
    ),
    "error-event": Fault(
        "an error event in the middle",
        (events([*FIRST_HALF, b'data: {"error": {"message": "overloaded", "type": "overloaded_error"}}\n\n', DONE]),),
    ),
    "error-body": Fault(
        "an error with status 200",
        (whole({"error": {"message": "overloaded", "type": "overloaded_error"}}),),
        (whole({"error": {"message": "overloaded", "type": "overloaded_error"}}),),
    ),
    "whole-for-stream": Fault("a whole answer where a stream was asked for", (GOOD,)),
    "empty": Fault("an empty body with status 200", (events([]),), (whole(b""),)),
    "tool-call-cut": Fault(
        "cut in the middle of a tool call",
        (events([START[0], event({"tool_calls": TOOL_CALL}), event({"tool_calls": REST_OF_IT})], "cut"),),
        expected="broken",
    ),
    "no-done": Fault("no [DONE]", (events([*FIRST_HALF, *SECOND_HALF, STOP, USAGE]),), calls=1),
    "no-finish-reason": Fault(
        "no finish_reason", (events([*FIRST_HALF, DONE]),), (whole(completion(HALF, finish_reason=None)),)
    ),
    "context": Fault(
        "the prompt is too long for the model",
        refusal(400, "too long", "context_length_exceeded"),
        refusal(400, "too long", "context_length_exceeded"),
        calls=1,
    ),
    "content-filter": Fault(
        "refused by a content filter",
        refusal(400, REASON, "content_filter"),
        refusal(400, REASON, "content_filter"),
        expected="refused",
        calls=1,
    ),
    "bad-request": Fault("400 for the caller's mistake", refusal(400), refusal(400), expected="refused", calls=1),
    "unprocessable": Fault("422 for the caller's mistake", refusal(422), refusal(422), expected="refused", calls=1),
    "key-401": Fault("401 for our key", refusal(401), refusal(401), calls=1),
    "key-403": Fault("403 for our key", refusal(403), refusal(403), calls=1),
    "html": Fault(
        "an HTML page with status 200", (whole(HTML, headers={"Content-Type": "text/html"}),), (whole(HTML),)
    ),
    "long-line": Fault(
        "a line of 10 MB",
        (events([*START, b"data: " + b"x" * 10_000_000 + b"\n\n", DONE]),),
        (whole(b'{"choices": "' + b"x" * 10_000_000),),
    ),
    "endless": Fault("a body that never ends", (flood(START[0], b": x\n" * 10_000),), (endless("application/json"),)),
    "not-utf8": Fault(
        "invalid UTF-8",
        (events([*FIRST_HALF, b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n', STOP, DONE]),),
        (whole(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),),
    ),
    "gzip-bomb": Fault(
        "a compressed body of 200 MB",
        (whole(BOMB, headers={**PACKED, "Content-Type": "text/event-stream"}),),
        (whole(BOMB, headers=PACKED),),
    ),
    "redirect": Fault("a redirect to another host", (redirecting,), (redirecting,)),
    "certificate": Fault("a certificate that is not trusted", (GOOD_STREAM,), (GOOD,), tls=True, calls=0),
}
