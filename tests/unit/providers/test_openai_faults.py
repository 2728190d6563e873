"""Does whatever an upstream does wrong end in one of our errors, soon, and never in half an answer?"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from aiohttp import web

from actors.protocol.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContentFiltered,
    ContextTooLong,
    KeyRefused,
    LLMError,
    MalformedAnswer,
    RateLimited,
    RequestRefused,
)
from actors.protocol.messages import Call
from actors.providers.openai import OpenAI
from tests.unit.providers.upstream_server import (
    DONE,
    Behaviour,
    asking,
    completion,
    event,
    events,
    flood,
    raw,
    reset,
    silence,
    whole,
)

HTML = b"<!doctype html><html><body>Bad gateway</body></html>"
CONTEXT = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
FILTERED = {"error": {"message": "no", "code": "content_filter"}}
LIMITED = {"error": {"message": "slow down", "type": "rate_limit_error"}}
WORD = event({"content": "word"})
STOP = event(finish_reason="stop")


def call(time_left_s: float = 5.0) -> Call:
    return Call("r1", {"messages": [{"role": "user", "content": "hello"}]}, time_left_s)


async def drain(provider: OpenAI) -> None:
    async for _ in provider.stream(call()):
        continue


async def texts(provider: OpenAI, asked: Call) -> list[str]:
    """The texts of a stream's chunks, with the name of the error that ended it."""
    found = []
    try:
        async with aclosing(provider.stream(asked)) as chunks:  # type: ignore[type-var]  # a generator
            async for chunk in chunks:
                found.append(chunk.text)  # noqa: PERF401  # what came before the error counts
    except LLMError as error:
        found.append(type(error).__name__)
    return found


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (reset, BackendUnavailable),
        (raw(b"SSH-2.0\r\n"), MalformedAnswer),
        (whole({}, status=500), BackendError),
        (whole(HTML, status=502), BackendUnavailable),
        (whole({}, status=503), BackendUnavailable),
        (whole(LIMITED, status=429), RateLimited),
        (whole({}, status=401), KeyRefused),
        (whole({}, status=403), KeyRefused),
        (whole({"error": {"message": "bad"}}, status=400), RequestRefused),
        (whole(CONTEXT, status=400), ContextTooLong),
        (whole(FILTERED, status=400), ContentFiltered),
        (whole({}, status=308, headers={"Location": "http://127.0.0.1:9/"}), BackendUnavailable),
        (whole(LIMITED), RateLimited),
        (whole(CONTEXT), ContextTooLong),
        (whole(HTML, headers={"Content-Type": "text/html"}), MalformedAnswer),
        (whole(HTML), MalformedAnswer),
        (whole(b""), MalformedAnswer),
        (whole(b'{"choices": ['), MalformedAnswer),
        (whole(b'{"text": "\xff\xfe"}'), MalformedAnswer),
        (whole([1, 2]), MalformedAnswer),
        (whole({"choices": []}), MalformedAnswer),
        (whole({"choices": [{"index": 0}]}), MalformedAnswer),
        (whole({"choices": "x"}), MalformedAnswer),
        (whole(completion("half", "error")), BackendError),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"), MalformedAnswer),
    ],
)
async def test_a_fault_before_any_answer_is_the_same_error_streaming_or_not(
    behave: Behaviour, error: type[BackendError]
) -> None:
    async with asking(behave) as (provider, server):
        with pytest.raises(BackendError) as found:
            await provider.complete(call())

        assert type(found.value) is error
        assert await texts(provider, call()) == [error.__name__]
        assert server.open_requests == 0


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (events([WORD, WORD], "cut"), ["word", "word", "MalformedAnswer"]),
        (events([WORD, DONE]), ["word", "MalformedAnswer"]),  # it never said why it finished
        (events([WORD, WORD]), ["word", "word", "MalformedAnswer"]),
        (events([]), ["MalformedAnswer"]),
        (events([b": comments only\n\n"]), ["MalformedAnswer"]),
        (events([event(choices=[])]), ["", "MalformedAnswer"]),
        (events([WORD, b"data: {broken\n\n", STOP, DONE]), ["word", "MalformedAnswer"]),
        (events([WORD, b'data: {"id": 1, "delta" }\n\n', STOP, DONE]), ["word", "MalformedAnswer"]),
        (events([WORD, b"data: [1]\n\n", b"data: \xff\n\n", STOP, DONE]), ["word", "MalformedAnswer"]),
        (events([WORD, b'data: {"choices": [1]}\n\n', STOP, DONE]), ["word", "MalformedAnswer"]),
        (events([WORD, b'data: {"choices": [{"delta": "x"}]}\n\n', STOP, DONE]), ["word", "MalformedAnswer"]),
        (events([WORD, b'data: {"choi', STOP[:0]]), ["word", "MalformedAnswer"]),
        (events([WORD, b'data: {"error": {"message": "x", "code": 503}}\n\n', DONE]), ["word", "BackendUnavailable"]),
        (events([WORD, b'event: error\ndata: {"message": "x"}\n\n', DONE]), ["word", "BackendError"]),
        (events([WORD, event(finish_reason="error"), DONE]), ["word", "BackendError"]),
        (events([event(choices=[{"index": 0, "finish_reason": "stop"}, {"index": 1}])]), ["", "MalformedAnswer"]),
        (whole(completion("not a stream")), ["MalformedAnswer"]),
        (whole(HTML, headers={"Content-Type": "text/plain"}), ["MalformedAnswer"]),
        (flood(WORD + b"data: ", b"x" * 65536), ["word", "MalformedAnswer"]),
        (flood(WORD, b"data: " + b"x" * 65536 + b"\n"), ["word", "MalformedAnswer"]),
        (flood(WORD, b": x\n" * 20_000), ["word", "MalformedAnswer"]),  # there is never a silence to be noticed
    ],
)
async def test_a_stream_that_is_not_whole_never_ends_as_if_it_were(behave: Behaviour, expected: Sequence[str]) -> None:
    async with asking(behave) as (provider, server):
        assert await texts(provider, call()) == expected

        assert await server.has(open_requests=0)


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (silence, ["BackendTimeout"]),
        (events([], "silence"), ["BackendTimeout"]),
        (events([event({"role": "assistant", "content": ""})], "silence"), ["", "BackendTimeout"]),
        (events([0.03, WORD, 0.09, STOP, DONE]), ["word", ""]),
        (events([WORD, 0.04, WORD, 0.04, WORD, 0.04, STOP, DONE]), ["word", "word", "word", ""]),
    ],
)
async def test_the_first_token_has_a_limit_of_its_own(behave: Behaviour, expected: Sequence[str]) -> None:
    async with asking(behave, ttft_timeout_s=0.08, stall_timeout_s=5.0) as (provider, _):
        assert await texts(provider, call()) == expected


@pytest.mark.parametrize(
    "behave",
    [
        *(
            events([WORD, broken, STOP, DONE])
            for broken in (b"data: {bad json}\n\n", b"data: [1]\n\n", b"data: \xff\n\n")
        ),
        events([WORD, STOP], "cut"),
        events([WORD, STOP], "silence"),
        events([WORD, STOP]),
        flood(WORD + STOP, b": x\n" * 20_000),
    ],
)
async def test_what_goes_wrong_beside_or_after_a_whole_answer_does_no_harm(behave: Behaviour) -> None:
    async with asking(behave, stall_timeout_s=0.05) as (provider, _):
        assert await texts(provider, call()) == ["word", ""]


async def test_a_stream_that_stalls_is_given_up() -> None:
    async with asking(events([WORD], "silence"), stall_timeout_s=0.05) as (provider, server):
        found = await texts(provider, call())

        assert (found[0], found[-1]) == ("word", "BackendTimeout")
        assert await server.has(open_requests=0)


@pytest.mark.parametrize(
    ("head", "said"),
    [(b"", "gave no first token within 0.05 s"), (WORD, "stopped in the middle of its answer for 0.05 s")],
)
async def test_comments_are_no_sign_of_an_answer(head: bytes, said: str) -> None:
    behave = flood(head, b": still working\n\n")
    async with asking(behave, ttft_timeout_s=0.05, stall_timeout_s=0.05) as (provider, _):
        with pytest.raises(BackendTimeout, match=said):
            await drain(provider)


async def test_a_slow_reader_is_not_taken_for_a_silent_upstream() -> None:
    async with asking(events([WORD, 0.15, STOP, DONE]), stall_timeout_s=0.1) as (provider, _):
        chunks = provider.stream(call())
        first = await anext(chunks)
        await asyncio.sleep(0.12)

        assert [first.text, *[chunk.text async for chunk in chunks]] == ["word", ""]


@pytest.mark.parametrize("behave", [silence, events([WORD], "silence"), flood(b"", WORD)])
async def test_the_call_s_own_time_ends_everything(behave: Behaviour) -> None:
    async with asking(behave) as (provider, _):
        assert (await texts(provider, call(time_left_s=0.08)))[-1] == "BackendTimeout"


@pytest.mark.parametrize(("timeout_s", "time_left_s"), [(0.05, 5.0), (5.0, 0.05)])
@pytest.mark.parametrize("behave", [silence, events([b"{"], "silence")])
async def test_a_whole_answer_has_one_limit(behave: Behaviour, timeout_s: float, time_left_s: float) -> None:
    async with asking(behave, timeout_s=timeout_s) as (provider, server):
        with pytest.raises(BackendTimeout, match=r"'far' gave no answer within 0\.05 s"):
            await provider.complete(call(time_left_s))

        assert await server.has(open_requests=0)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_refusal_whose_body_is_cut_is_still_that_refusal(status: int) -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-length: 99\r\nretry-after: 7\r\n\r\n{" % status
    async with asking(raw(head)) as (provider, _):
        with pytest.raises(BackendError) as error:
            await provider.complete(call())

    assert (error.value.status, error.value.retry_after_s) == (status, 7)


async def test_the_wish_to_wait_reaches_the_caller() -> None:
    async with asking(whole(LIMITED, status=429, headers={"Retry-After-Ms": "1500"})) as (provider, _):
        with pytest.raises(RateLimited) as error:
            await provider.complete(call())

    assert error.value.retry_after_s == 1.5


async def test_no_error_holds_the_key_that_the_upstream_echoes() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return await whole({"error": {"message": "bad: " + request.headers["Authorization"]}}, status=400)(request)

    async with asking(echo) as (provider, _):
        with pytest.raises(RequestRefused) as error:
            await provider.complete(call())

    assert "sk-very-secret" not in repr(error.value)
