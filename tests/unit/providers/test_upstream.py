"""Do upstream calls reuse connections, stay within their bounds, and fail only in our own terms?"""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncGenerator, Iterator

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from actors.protocol.errors import BackendError, BackendTimeout, BackendUnavailable, MalformedAnswer
from actors.providers.upstream import UPSTREAM_FAULTS, AiohttpUpstream, UpstreamRequest, fault_of
from tests.unit.providers.upstream_server import flood, raw, reset, serving, silence, whole

KEY = ConnectionKey("far.example", 443, True, True, None, None, None)
HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer sk-secret"}))
INFO = RequestInfo(URL("https://far.example/"), "POST", HEADERS, URL("https://far.example/"))
REFUSED = OSError(111, "Connection refused")
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "ClientConnectorError": (KEY, REFUSED),
    "ClientProxyConnectionError": (KEY, REFUSED),
    "ClientSSLError": (KEY, REFUSED),
    "ClientConnectorSSLError": (KEY, REFUSED),
    "ClientConnectorDNSError": (KEY, REFUSED),
    "ClientConnectorCertificateError": (KEY, ValueError("bad certificate")),
    "ServerFingerprintMismatch": (b"a", b"b", "far.example", 443),
    "ClientResponseError": (INFO, ()),
    "ClientHttpProxyError": (INFO, ()),
    "WSServerHandshakeError": (INFO, ()),
    "TooManyRedirects": (INFO, ()),
    "UnixClientConnectorError": ("/run/far.sock", KEY, REFUSED),
    "ContentTypeError": (INFO, ()),
    "BadStatusLine": ("",),
    "BadHttpMethod": ("",),
    "InvalidHeader": (b"x",),
    "InvalidURLError": ("",),
    "LineTooLong": (b"x",),
    "HttpProcessingError": (),
}
EXPECTED: dict[str, type[BackendError]] = {
    "ServerTimeoutError": BackendTimeout,
    "SocketTimeoutError": BackendTimeout,
    "ClientPayloadError": MalformedAnswer,
    "ClientResponseError": MalformedAnswer,
    "ContentTypeError": MalformedAnswer,
    "WSServerHandshakeError": MalformedAnswer,
    "TooManyRedirects": MalformedAnswer,
}


def families(*roots: type[Exception]) -> Iterator[type[Exception]]:
    for root in roots:
        yield root
        yield from families(*root.__subclasses__())


def client_faults() -> list[type[Exception]]:
    known = {*families(aiohttp.ClientError), *families(http_exceptions.HttpProcessingError)}
    return sorted(
        (fault for fault in known if fault.__module__.startswith("aiohttp.")), key=lambda fault: fault.__name__
    )


def made(kind: type[Exception]) -> Exception:
    return kind(*ARGUMENTS.get(kind.__name__, ("Bearer sk-secret",)))


@pytest.mark.parametrize("kind", client_faults())
def test_every_exception_of_the_http_client_is_caught_and_has_a_meaning(kind: type[Exception]) -> None:
    fault = made(kind)

    error = fault_of(fault, "far")

    otherwise = MalformedAnswer if issubclass(kind, http_exceptions.HttpProcessingError) else BackendUnavailable
    assert isinstance(fault, UPSTREAM_FAULTS)
    assert type(error) is EXPECTED.get(kind.__name__, otherwise)
    assert str(error).startswith("'far' ")
    assert "sk-secret" not in repr(error)


def test_the_list_of_the_client_s_exceptions_is_not_empty() -> None:
    exported = {
        name
        for name in client_exceptions.__all__
        if issubclass(getattr(client_exceptions, name), Exception)
        and name != "WSMessageTypeError"  # no websockets here
    }

    assert exported <= {kind.__name__ for kind in client_faults()}


@pytest.mark.parametrize("fault", [ConnectionResetError(), BrokenPipeError(), OSError(24, "Too many open files")])
def test_errors_of_the_operating_system_have_a_meaning(fault: OSError) -> None:
    assert type(fault_of(fault, "far")) is BackendUnavailable


def of_the_standard_library() -> list[type[Exception]]:
    """What ssl, socket and asyncio's transports and streams raise; the rest of asyncio's are about locks and queues."""
    found = {
        kind for kind in families(OSError) if kind.__module__ in ("builtins", "ssl", "socket", "asyncio.exceptions")
    }
    return sorted({*found, asyncio.IncompleteReadError, UnicodeError}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", of_the_standard_library())
def test_every_exception_of_ssl_sockets_and_asyncio_is_caught_and_has_a_meaning(kind: type[Exception]) -> None:
    fault = kind.__new__(kind)

    error = fault_of(fault, "far")

    assert isinstance(fault, UPSTREAM_FAULTS)
    assert type(error) is (BackendTimeout if issubclass(kind, TimeoutError) else BackendUnavailable)


def test_what_ssl_can_raise_is_among_them() -> None:
    assert {ssl.SSLError, ssl.SSLCertVerificationError, ssl.SSLEOFError, TimeoutError, ConnectionResetError} <= set(
        of_the_standard_library()
    )


@pytest.fixture
async def upstream() -> AsyncGenerator[AiohttpUpstream, None]:
    upstream = AiohttpUpstream(max_body_bytes=100_000)
    yield upstream
    await upstream.aclose()


def post(url: str, body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest("far", "POST", url, {"Authorization": "Bearer sk-secret"}, body)


async def body_of(upstream: AiohttpUpstream, request: UpstreamRequest) -> bytes:
    response = await upstream.open(request)
    try:
        return await response.body()
    finally:
        response.close()


async def test_connections_are_used_again(upstream: AiohttpUpstream) -> None:
    async with serving(whole({"ok": True})) as server:
        for _ in range(5):
            assert await body_of(upstream, post(server.base_url)) == b'{"ok":true}'

        assert len(server.connections) == 1


async def test_a_body_that_was_not_read_to_its_end_closes_the_connection(upstream: AiohttpUpstream) -> None:
    async with serving(flood(b"", b"x" * 1000), whole({"ok": True})) as server:
        response = await upstream.open(post(server.base_url))
        await response.read_part()
        response.close()
        response.close()

        await body_of(upstream, post(server.base_url))
        assert len(server.connections) == 2


@pytest.mark.parametrize("behave", [flood(b"", b"x" * 1000), whole(b"x" * 100_001)])
async def test_a_body_above_the_limit_is_refused(upstream: AiohttpUpstream, behave: object) -> None:
    async with serving(behave) as server:  # type: ignore[arg-type]
        with pytest.raises(MalformedAnswer, match="more than 100000 bytes"):
            await body_of(upstream, post(server.base_url))


async def test_a_compressed_bomb_is_refused_before_it_fills_the_memory(upstream: AiohttpUpstream) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024), compresslevel=1)
    async with serving(whole(bomb, headers={"Content-Encoding": "gzip"})) as server:
        tracemalloc.start()
        try:
            with pytest.raises(MalformedAnswer):
                await body_of(upstream, post(server.base_url))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak < 8 * 1024 * 1024


async def test_a_large_request_is_sent_whole(upstream: AiohttpUpstream) -> None:
    body = b'"' + b"x" * 3_000_000 + b'"'
    async with serving(whole({"ok": True})) as server:
        await body_of(upstream, post(server.base_url, body))

        assert len(server.seen[0].body) == 3_000_000


async def test_redirects_are_not_followed(upstream: AiohttpUpstream) -> None:
    async with serving(whole({}, status=307, headers={"Location": "/elsewhere"})) as server:
        response = await upstream.open(post(server.base_url))
        response.close()

        assert response.status == 307
        assert len(server.seen) == 1


async def test_the_environment_s_proxies_are_used_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(whole({"ok": True})) as server:
        direct, proxied = AiohttpUpstream(), AiohttpUpstream(trust_env=True)

        assert await body_of(direct, post(server.base_url))
        with pytest.raises(BackendUnavailable, match="proxy"):
            await proxied.open(post(server.base_url))

        await direct.aclose()
        await proxied.aclose()


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (reset, BackendUnavailable),
        (raw(b"SSH-2.0-OpenSSH\r\n"), MalformedAnswer),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n"), MalformedAnswer),
        (raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), MalformedAnswer),
    ],
)
async def test_what_is_not_http_is_a_failure_of_the_upstream(
    upstream: AiohttpUpstream, behave: object, error: type[BackendError]
) -> None:
    async with serving(behave) as server:  # type: ignore[arg-type]
        with pytest.raises(error):
            await upstream.open(post(server.base_url))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
    ],
)
async def test_a_body_that_is_cut_or_garbled_is_malformed(upstream: AiohttpUpstream, data: bytes) -> None:
    async with serving(raw(data)) as server:
        with pytest.raises(MalformedAnswer):
            await body_of(upstream, post(server.base_url))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/", r"cannot be reached \(Connection refused\)"),
        ("http://no-such-host.invalid/", "cannot be resolved"),
        ("http://two..dots/", "cannot be resolved"),
        (f"http://{'a' * 70}/", "cannot be resolved"),
        ("http:///path", "not a usable address"),
    ],
)
async def test_an_upstream_that_cannot_be_reached_is_unavailable(
    upstream: AiohttpUpstream, url: str, said: str
) -> None:
    with pytest.raises(BackendUnavailable, match=said):
        await upstream.open(post(url))


async def test_a_server_without_tls_is_unavailable_for_https(upstream: AiohttpUpstream) -> None:
    async with serving(whole({})) as server:
        with pytest.raises(BackendUnavailable, match="TLS"):
            await upstream.open(post(server.base_url.replace("http:", "https:")))


async def test_closing_ends_running_requests_and_refuses_later_ones() -> None:
    upstream = AiohttpUpstream()
    async with serving(silence) as server:
        asking = asyncio.ensure_future(upstream.open(post(server.base_url)))
        assert await server.has(open_requests=1)

        await upstream.aclose()

        with pytest.raises(BackendUnavailable):
            await asking
        with pytest.raises(BackendUnavailable, match="is closed"):
            await upstream.open(post(server.base_url))


async def test_each_event_loop_has_a_session_of_its_own_and_one_closing_closes_all() -> None:
    upstream = AiohttpUpstream()
    async with serving(silence, whole({"ok": True})) as server:
        asked = post(server.base_url)
        elsewhere = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(body_of(upstream, asked))))
        assert await server.has(open_requests=1)
        assert await body_of(upstream, asked) == b'{"ok":true}'

        await upstream.aclose()

        with pytest.raises(BackendUnavailable):
            await elsewhere


def test_a_request_shows_neither_credential_nor_text() -> None:
    shown = repr(post("http://far.example/v1", b"private words"))

    assert "sk-secret" not in shown
    assert "private" not in shown
