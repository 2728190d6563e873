"""How is a model behind any OpenAI-compatible URL asked?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from urllib.parse import urlsplit, urlunsplit

import orjson

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import BackendError, BackendTimeout, ConfigError, MalformedAnswer, RequestRefused
from actors.protocol.messages import Call, Chunk, Completion, JsonObject
from actors.providers.completions import StreamReading, completion_of
from actors.providers.patience import Patience
from actors.providers.refusals import Refusals
from actors.providers.sse import MAX_EVENT_BYTES, EventReader
from actors.providers.upstream import AiohttpUpstream, Upstream, UpstreamRequest, UpstreamResponse

PROBE_TIMEOUT_S = 2.0
REASON_WITHIN_S = 1.0  # the status says most of it: the body of a refusal is not worth a long wait
REST_WITHIN_S = 0.02  # the end of the body comes with `[DONE]` or never; read, the connection can be used again
USAGE_WITHIN_S = 2.0
REST_BYTES = 64 * 1024
NOISE_BYTES = 2 * MAX_EVENT_BYTES  # a flood is not silence: reading it would take for ever, and no wait would be long


class OpenAI:
    """A provider for any URL that speaks OpenAI's chat completions.

    `timeout_s` limits a whole answer, `ttft_timeout_s` the wait for a stream's first token, `stall_timeout_s` each
    later silence; a call's own time left limits all of them. `upstream` belongs to the provider, which closes it.
    Raises `ConfigError` for a `base_url` or `api_key` that no request can carry.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        model: str,
        timeout_s: float = 120.0,
        ttft_timeout_s: float = 20.0,
        stall_timeout_s: float = 15.0,
        upstream: Upstream | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = name
        self._model = model
        self._timeout_s = timeout_s
        self._ttft_timeout_s = ttft_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._upstream: Upstream = upstream or AiohttpUpstream()
        self._clock = clock
        self._chat_url = _endpoint(name, base_url, "/chat/completions")
        self._models_url = _endpoint(name, base_url, "/models")
        self._headers = {"Content-Type": "application/json", **_authorization(name, api_key)}
        self._refusals = Refusals(name, api_key, clock)
        self._asks_usage = True

    async def start(self) -> None:
        """Nothing: an upstream that is down now may be up for the first call."""

    async def complete(self, call: Call) -> Completion:
        """The whole answer. Raises `BackendError`s."""
        limit_s = min(self._timeout_s, call.time_left_s)
        try:
            async with asyncio.timeout(limit_s):
                response = await self._upstream.open(self._chat(call.body))
                try:
                    if not 200 <= response.status < 300:
                        raise await self._refusal(response)
                    body = await response.body()
                finally:
                    response.close()
        except TimeoutError:
            raise BackendTimeout(f"'{self._name}' gave no answer within {limit_s:.4g} s.", self._name) from None
        return completion_of(body, self._name, self._refusals)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """The answer's events as they come. Raises `BackendError`s, also for a stream that ends before its answer."""
        with closing(Patience(self._name, self._ttft_timeout_s, call.time_left_s, self._clock)) as patience:
            response = await self._open_stream(call, patience)
            try:
                events = EventReader(self._name)
                reading = StreamReading(self._name, self._refusals)
                silence_s = min(self._stall_timeout_s, USAGE_WITHIN_S)  # after the last word only the usage may come
                noise_bytes = 0  # what came since something of the answer did
                while not reading.ended:
                    try:
                        with patience:
                            part = await response.read_part()
                    except BackendError:
                        if reading.is_whole:
                            return
                        raise
                    noise_bytes += len(part)
                    for event in events.feed(part) if part else events.finish():
                        chunk = reading.chunk(event)
                        if chunk is not None:
                            if reading.begun:
                                patience.renew(silence_s if reading.is_whole else self._stall_timeout_s)
                                noise_bytes = 0
                            yield chunk
                        elif reading.ended:
                            break
                    if not part or noise_bytes > NOISE_BYTES:
                        break
                reading.end()
                await _read_rest(response, REST_WITHIN_S)
            finally:
                response.close()

    async def probe(self) -> None:
        """Returns if the upstream answers at all and takes our key. Raises `BackendError`s."""
        request = UpstreamRequest(self._name, "GET", self._models_url, self._headers)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                response = await self._upstream.open(request)
                try:
                    if response.status >= 500 or response.status in (401, 403):
                        raise await self._refusal(response)
                    await _read_rest(response, REASON_WITHIN_S)
                finally:
                    response.close()
        except TimeoutError:
            raise BackendTimeout(f"'{self._name}' did not answer a probe.", self._name) from None

    async def aclose(self) -> None:
        """Closes all connections, those of running calls as well."""
        await self._upstream.aclose()

    async def _open_stream(self, call: Call, patience: Patience) -> UpstreamResponse:
        asks_usage = self._asks_usage
        options: JsonObject = {"stream_options": {"include_usage": True}} if asks_usage else {}
        with patience:
            response = await self._upstream.open(self._chat(call.body, stream=True, **options))
        if _is_stream(response):
            return response
        with patience:
            body = await _reason(response)
        if asks_usage and 400 <= response.status < 500 and b"stream_options" in body:
            self._asks_usage = False
            return await self._open_stream(call, patience)
        if not 200 <= response.status < 300:
            raise self._refusals.of_response(response.status, response.headers, body)
        completion_of(body, self._name, self._refusals)
        raise MalformedAnswer(f"'{self._name}' gave its answer whole where a stream was asked for.", self._name)

    async def _refusal(self, response: UpstreamResponse) -> BackendError:
        return self._refusals.of_response(response.status, response.headers, await _reason(response))

    def _chat(self, body: JsonObject, **parameters: object) -> UpstreamRequest:
        try:
            sent = orjson.dumps({**body, "model": self._model, **parameters})
        except orjson.JSONEncodeError as error:
            raise RequestRefused(f"The request cannot be written as JSON: {error}.", self._name) from None
        return UpstreamRequest(self._name, "POST", self._chat_url, self._headers, sent)


def _is_stream(response: UpstreamResponse) -> bool:
    """Whether to read the body as events; some servers give those no proper content type."""
    kind = response.headers.get("content-type", "").lower()
    return 200 <= response.status < 300 and not kind.startswith(("application/json", "text/html"))


async def _reason(response: UpstreamResponse) -> bytes:
    """The body of a response that is no answer, as far as it can be had at once; closes the response."""
    try:
        async with asyncio.timeout(REASON_WITHIN_S):
            return await response.body()
    except (TimeoutError, BackendError):
        return b""
    finally:
        response.close()


async def _read_rest(response: UpstreamResponse, within_s: float) -> None:
    size_bytes = 0
    with suppress(TimeoutError, BackendError):
        async with asyncio.timeout(within_s):
            while size_bytes < REST_BYTES and (part := await response.read_part()):
                size_bytes += len(part)


def _endpoint(name: str, base_url: str, path: str) -> str:
    try:
        url = urlsplit(base_url)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        raise ConfigError(f"The base_url of backend '{name}' is not a URL.", name) from None
    if not usable:
        raise ConfigError(f"The base_url of backend '{name}' must begin with http:// or https:// and a host.", name)
    if "@" in url.netloc:
        raise ConfigError(f"The base_url of backend '{name}' holds a credential; put it into api_key.", name)
    return urlunsplit((url.scheme, url.netloc, url.path.rstrip("/") + path, url.query, ""))


def _authorization(name: str, api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise ConfigError(f"The api_key of backend '{name}' holds a character that no header can carry.", name)
    return {"Authorization": f"Bearer {api_key}"}
