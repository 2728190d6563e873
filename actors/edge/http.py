"""Which HTTP requests does the gateway take, and how does it answer each?

A plain ASGI application; the company behind it is a `Gateway`.

    POST /v1/chat/completions        GET /livez                     GET /api/status
    GET  /v1/models                  GET /readyz                    GET /api/optimizer
    GET  /v1/models/{id}             POST /v1/feedback              GET /api/performance-report
    GET  /explain/{request_id}       GET  /metrics                  GET /api/usage
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive, Scope, Send

from actors.edge import sse, wire
from actors.edge.authentication import Keyring
from actors.edge.envelope import envelope, error_headers, http_status, internal_error
from actors.edge.exchange import JSON, ClientGone, Exchange, encoded
from actors.edge.gateway import ChatRequest, Gateway
from actors.edge.prometheus import CONTENT_TYPE as PROMETHEUS
from actors.edge.report_page import report_page
from actors.edge.turned_away import turned_away
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError, MethodNotAllowed, NotFound, Overloaded, UnknownModel
from actors.protocol.messages import JsonObject
from actors.resilience.error_handler import error_aggregator

_log = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
MODEL = "/v1/models/"
EXPLAIN = "/explain/"
METRICS = "/metrics"
REPORT = "/api/performance-report"
UNGUARDED = frozenset({"/livez", "/readyz"})


class Page(NamedTuple):
    """An answer that is not JSON."""

    content_type: bytes
    body: bytes


Answer = Callable[[Exchange], Awaitable[JsonObject | Page]]


class HttpApp:
    """The ASGI application of one gateway replica."""

    def __init__(
        self,
        gateway: Gateway,
        keys: Sequence[tuple[str, str]],
        max_body_bytes: int,
        *,
        clock: Clock = SYSTEM_CLOCK,
        instance: str,
    ) -> None:
        """`keys` are pairs of a name and its secret, none: everybody may call. `instance` tells gateways apart."""
        self._gateway = gateway
        self._keyring = Keyring(keys)
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._instance = instance.encode("latin-1")
        self._answers: dict[str, tuple[str, Answer]] = {
            "/v1/models": ("GET", self._models),
            "/v1/feedback": ("POST", self._feedback),
            "/livez": ("GET", self._livez),
            "/readyz": ("GET", self._readyz),
            "/api/status": ("GET", lambda _: gateway.status()),
            "/api/optimizer": ("GET", lambda _: gateway.optimizer_report()),
            "/api/optimizer/export": ("GET", lambda _: gateway.export_learning()),
            "/api/optimizer/import": ("POST", self._import),
            "/api/optimizer/reset": ("POST", lambda _: gateway.reset_learning()),
            "/api/errors": ("GET", lambda _: gateway.errors()),
            "/api/usage": ("GET", self._usage),
            METRICS: ("GET", self._metrics),
            REPORT: ("GET", self._report),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(Exchange(scope, receive, send, self._max_body_bytes, self._clock.monotonic_s()))
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, exchange: Exchange) -> None:
        try:
            await self._respond(exchange)
        except ClientGone:
            return
        except Exception as error:
            # The outermost border. With a response half sent, all that is left is that the server cuts the connection.
            if exchange.started:
                raise
            failure = _told(error, exchange.request_id)
            with contextlib.suppress(ClientGone):
                body = orjson.dumps(envelope(failure))
                await exchange.answer(http_status(failure), error_headers(failure), body)

    async def _respond(self, exchange: Exchange) -> None:
        path = exchange.path
        if path == CHAT:
            await self._chat(exchange)
            return
        if path not in UNGUARDED:
            exchange.key_name = self._keyring.holder(exchange.headers.get(b"authorization"))
        if path in self._answers:
            method, answer = self._answers[path]
        elif path.startswith(MODEL) and path != MODEL:
            method, answer = "GET", self._model
        elif path.startswith(EXPLAIN) and path != EXPLAIN:
            method, answer = "GET", self._explain
        else:
            raise NotFound(f"There is nothing at '{path[:200]}'.")
        _allow(method, exchange)
        told = await answer(exchange)
        page = told if isinstance(told, Page) else Page(JSON, orjson.dumps(told))
        await exchange.answer(200, (), page.body, page.content_type)

    async def _chat(self, exchange: Exchange) -> None:
        try:
            request = await self._admitted(exchange)
        except LLMError as error:
            exact = (exchange.request_id, error, exchange.received_s, self._clock)
            self._gateway.turned_away(turned_away(*exact, key_name=exchange.key_name))
            raise
        if request.stream:
            with exchange.watch():
                ending = await self._stream(exchange, request)
            await exchange.send_part(ending, last=True)
            return
        with exchange.watch():
            reply = await self._gateway.complete(request)
        await exchange.answer(200, encoded(reply.headers), orjson.dumps(reply.body))

    async def _admitted(self, exchange: Exchange) -> ChatRequest:
        exchange.key_name = self._keyring.holder(exchange.headers.get(b"authorization"))
        _allow("POST", exchange)
        refusal = self._gateway.refuses_because()
        if refusal is not None:
            raise refusal.with_traceback(None)  # one error may be raised many times: do not let its traceback grow
        body = wire.json_object(await exchange.body(), exchange.headers)
        return wire.chat_request(
            body,
            self._clock,
            request_id=exchange.request_id,
            key_name=exchange.key_name,
            received_s=exchange.received_s,
            traceparent=exchange.headers.get(b"traceparent"),
        )

    async def _stream(self, exchange: Exchange, request: ChatRequest) -> bytes:
        """Sends all events; returns the one that ends the stream. Raises what goes wrong before the first of them."""
        reply = await self._gateway.open_stream(request)
        ending = sse.DONE
        try:
            async for payload in reply.events:
                if not exchange.started:
                    await exchange.start(200, (*sse.HEADERS, *encoded(reply.headers)))
                await exchange.send_part(sse.frame(payload))
        except ClientGone:
            raise
        except Exception as error:
            # The same border, but with the headers out a client can only be told in-band.
            if not exchange.started:
                raise
            ending = sse.error_frame(_told(error, exchange.request_id), request, int(self._clock.wall_s()))
        finally:
            await reply.events.aclose()
        if not exchange.started:
            await exchange.start(200, (*sse.HEADERS, *encoded(reply.headers)))
        return ending

    async def _models(self, _: Exchange) -> JsonObject:
        return {"object": "list", "data": self._gateway.models()}

    async def _model(self, exchange: Exchange) -> JsonObject:
        wanted = exchange.path.removeprefix(MODEL)
        models = {model["id"]: model for model in self._gateway.models()}
        if wanted not in models:
            hint = wire.suggestion(wanted, models)
            raise UnknownModel(f"The model '{wanted[:200]}' does not exist.{hint}", param="model")
        return models[wanted]

    async def _feedback(self, exchange: Exchange) -> JsonObject:
        body = wire.json_object(await exchange.body(), exchange.headers)
        return await self._gateway.record_feedback(wire.feedback(body))

    async def _import(self, exchange: Exchange) -> JsonObject:
        body = wire.json_object(await exchange.body(), exchange.headers)
        return await self._gateway.import_learning(wire.learned(body))

    async def _report(self, exchange: Exchange) -> JsonObject | Page:
        """As a page for whoever asks for one by name, like browsers do; as JSON for everybody else."""
        report = await self._gateway.observatory.performance_report(*_query(exchange, "recent"))
        wants_page = b"text/html" in exchange.headers.get(b"accept", b"")
        return Page(b"text/html; charset=utf-8", report_page(report)) if wants_page else report

    async def _usage(self, exchange: Exchange) -> JsonObject:
        return await self._gateway.observatory.usage(*_query(exchange, "day"))

    async def _metrics(self, _: Exchange) -> Page:
        return Page(PROMETHEUS, await self._gateway.observatory.metrics())

    async def _explain(self, exchange: Exchange) -> JsonObject:
        return await self._gateway.observatory.explain(exchange.path.removeprefix(EXPLAIN))

    async def _livez(self, exchange: Exchange) -> JsonObject:
        exchange.extra_headers.append((b"x-troupe-instance", self._instance))
        return {"status": "alive"}

    async def _readyz(self, exchange: Exchange) -> JsonObject:
        exchange.extra_headers.append((b"x-troupe-instance", self._instance))
        reason = self._gateway.not_ready_because()
        if reason is not None:
            raise Overloaded(reason, retry_after_s=1.0)
        return {"status": "ready"}


def _query(exchange: Exchange, name: str) -> list[str]:
    """What the query says of that name; the first word of it, if there is any."""
    return parse_qs(exchange.query.decode("latin-1")).get(name, [])[:1]


def _allow(method: str, exchange: Exchange) -> None:
    """Raises `MethodNotAllowed` unless the request's method is this one, or HEAD where this one is GET."""
    allowed = ("GET", "HEAD") if method == "GET" else (method,)
    if exchange.method not in allowed:
        exchange.extra_headers.append((b"allow", ", ".join(allowed).encode()))
        raise MethodNotAllowed(f"'{exchange.path[:200]}' takes {' or '.join(allowed)}, not {exchange.method[:20]}.")


def _told(error: Exception, request_id: str) -> LLMError:
    """What the caller learns: our own errors as they are; of all others nothing, but the log everything."""
    if isinstance(error, LLMError):
        return error
    _log.error("request %s failed unexpectedly", request_id, exc_info=error, extra={"request_id": request_id})
    failure = internal_error(request_id)
    error_aggregator.record(failure, "edge", "respond")
    return failure


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
