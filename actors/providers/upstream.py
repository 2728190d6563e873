"""How does a request reach an upstream, and what does each failure on the way mean?"""

import asyncio
import errno
import io
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from actors.protocol.errors import BackendError, BackendTimeout, BackendUnavailable, MalformedAnswer

MAX_BODY_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0  # a host that drops packets must not cost a whole attempt
DNS_CACHE_S = 30
PIECEWISE_ABOVE_BYTES = 1024 * 1024  # aiohttp sends larger bodies piece by piece only from a file object


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent, on behalf of which backend."""

    backend: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)  # the credential
    body: bytes | None = field(default=None, repr=False)  # the caller's text


class UpstreamResponse(Protocol):
    """An answer whose status and headers are there. Its methods raise `BackendError`s."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case find any spelling."""
        ...

    async def read_part(self) -> bytes:
        """What has arrived of the body, at least one byte; empty at its clean end."""
        ...

    async def body(self) -> bytes:
        """The whole body. Raises `MalformedAnswer` above the upstream's size limit."""
        ...

    def close(self) -> None:
        """Ends the request; the connection is used again if the body was read to its end. Safe to call twice."""
        ...


class Upstream(Protocol):
    """A way to upstreams. Cancelling a call, or closing a response, closes the connection under it."""

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        """The response as soon as its headers are there; redirects are not followed. Raises `BackendError`s."""
        ...

    async def aclose(self) -> None:
        """Closes all connections; later requests are refused."""
        ...


class AiohttpUpstream:
    """Upstream calls by aiohttp (FACTS: a tenth of httpx's CPU per request), with one session per event loop.

    It sets no time limit but that for connecting: callers know theirs. The number of connections is not limited
    either, as the callers' concurrency is. `trust_env`: whether the environment's proxies are used.
    """

    def __init__(
        self,
        trust_env: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._trust_env = trust_env
        self._max_body_bytes = max_body_bytes
        self._connect_timeout_s = connect_timeout_s
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._closed = False

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        session = self._session(request.backend)
        sent: bytes | io.BytesIO | None = request.body
        if request.body is not None and len(request.body) > PIECEWISE_ABOVE_BYTES:
            sent = io.BytesIO(request.body)
        try:
            response = await session.request(
                request.method, request.url, headers=request.headers, data=sent, allow_redirects=False
            )
        except UPSTREAM_FAULTS as fault:
            raise fault_of(fault, request.backend) from None  # the cause may hold our headers
        return AiohttpResponse(response, request.backend, self._max_body_bytes)

    async def aclose(self) -> None:
        self._closed = True
        while self._sessions:
            loop, session = self._sessions.popitem()
            if loop is asyncio.get_running_loop():
                await session.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(session.close(), loop)

    def _session(self, backend: str) -> aiohttp.ClientSession:
        if self._closed:
            raise BackendUnavailable(f"'{backend}' is closed.", backend)
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._sessions[loop] = self._new_session()
        return session

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_CACHE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Answers are small or come piece by piece; what is compressed all the same is read within the limits.
            headers={"Accept-Encoding": "identity", "User-Agent": "troupe"},
            trust_env=self._trust_env,
        )


class AiohttpResponse:
    """An aiohttp response with bounded bodies and our errors."""

    __slots__ = ("_backend", "_max_body_bytes", "_response")

    def __init__(self, response: aiohttp.ClientResponse, backend: str, max_body_bytes: int) -> None:
        self._response = response
        self._backend = backend
        self._max_body_bytes = max_body_bytes

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read_part(self) -> bytes:
        try:
            return await self._response.content.readany()
        except UPSTREAM_FAULTS as fault:
            raise fault_of(fault, self._backend) from None

    async def body(self) -> bytes:
        parts = []
        size = 0
        while part := await self.read_part():
            size += len(part)
            if size > self._max_body_bytes:
                raise MalformedAnswer(f"'{self._backend}' sent more than {self._max_body_bytes} bytes.", self._backend)
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._response.close()  # does nothing to a connection that has already gone back to the pool


class Meaning(NamedTuple):
    """What a failure of the transport is to us; `said` follows the backend's name in the message."""

    fault: type[Exception]
    error: type[BackendError]
    said: str


MEANINGS = (  # the first that fits: special ones before general ones
    Meaning(aiohttp.ClientConnectorCertificateError, BackendUnavailable, "has a TLS certificate that is not trusted"),
    Meaning(aiohttp.ServerFingerprintMismatch, BackendUnavailable, "has a TLS certificate that is not trusted"),
    Meaning(aiohttp.ClientSSLError, BackendUnavailable, "could not agree on TLS with us"),
    Meaning(ssl.SSLError, BackendUnavailable, "could not agree on TLS with us"),
    Meaning(aiohttp.ClientConnectorDNSError, BackendUnavailable, "has a host name that cannot be resolved"),
    Meaning(aiohttp.ClientProxyConnectionError, BackendUnavailable, "is behind a proxy that cannot be reached"),
    Meaning(aiohttp.ClientHttpProxyError, BackendUnavailable, "is behind a proxy that refuses us"),
    Meaning(aiohttp.ConnectionTimeoutError, BackendUnavailable, "did not accept a connection in time"),
    Meaning(aiohttp.ClientConnectorError, BackendUnavailable, "cannot be reached"),
    Meaning(TimeoutError, BackendTimeout, "did not answer in time"),
    Meaning(aiohttp.ClientPayloadError, MalformedAnswer, "cut its answer short"),
    Meaning(aiohttp.ClientResponseError, MalformedAnswer, "answered with something that is not HTTP"),
    Meaning(HttpProcessingError, MalformedAnswer, "answered with something that is not HTTP"),
    Meaning(aiohttp.InvalidURL, BackendUnavailable, "has a base_url that is not a usable address"),
    Meaning(aiohttp.NonHttpUrlClientError, BackendUnavailable, "has a base_url that is not a usable address"),
    Meaning(aiohttp.ClientError, BackendUnavailable, "closed the connection before it had answered"),
    Meaning(EOFError, BackendUnavailable, "closed the connection before it had answered"),
    Meaning(OSError, BackendUnavailable, "closed the connection before it had answered"),
    Meaning(UnicodeError, BackendUnavailable, "has a host name that cannot be resolved"),  # of the idna codec: `a..b`
)

UPSTREAM_FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, UnicodeError)
"""Everything that aiohttp, asyncio and ssl raise because of the network or the other side (`TimeoutError` is an
`OSError`, asyncio's `IncompleteReadError` an `EOFError`)."""


def fault_of(fault: Exception, backend: str) -> BackendError:
    """Our error for one of `UPSTREAM_FAULTS`. Its message holds no words of the fault: they may show headers."""
    meaning = next(meaning for meaning in MEANINGS if isinstance(fault, meaning.fault))
    # Only the errno: other words of the fault name addresses.
    number = fault.errno if meaning.fault is aiohttp.ClientConnectorError and isinstance(fault, OSError) else None
    reason = f" ({os.strerror(number)})" if number in errno.errorcode and number else ""
    return meaning.error(f"'{backend}' {meaning.said}{reason}.", backend)
