"""Was exactly this asked before by the same caller? Answers kept in one replica, within bounds."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Final

import orjson

from actors.edge.gateway import ChatRequest, Reply, StreamedReply
from actors.edge.shared_stream import SharedStream
from actors.edge.turned_away import refused
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord, JsonObject
from actors.protocol.streams import HandedOn
from actors.tracing.spans import trace_performance

WHOLE: Final = frozenset({"stop", "tool_calls", "function_call"})
LARGEST_SHARE_01: Final = 0.125  # of all bytes, for one answer
STRATEGY: Final = "cache"
HIT_HEADERS: Final = {"x-troupe-cache": "hit", "x-troupe-attempts": "0", "x-troupe-cost-usd": "0.00000000"}

Play = Callable[[ChatRequest], Awaitable[Reply]]
OpenStream = Callable[[ChatRequest], Awaitable[StreamedReply]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole answer: one completion, or all events of a stream; the last part has the `troupe` object."""

    parts: Sequence[bytes]
    kept_s: float
    size_bytes: int


class AnswerStore:
    """The least recently used answers go first, beyond `max_entries` or `max_bytes`; none is older than `ttl_s`."""

    def __init__(self, ttl_s: float, max_entries: int, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def largest_bytes(self) -> int:
        """What one answer may have at most."""
        return int(self._max_bytes * LARGEST_SHARE_01)

    @trace_performance("cache")
    def get(self, name: bytes) -> Kept | None:
        """The answer of that name, if it is here and young enough."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if self._clock.monotonic_s() - kept.kept_s >= self._ttl_s:
            self._drop(name)
            return None
        self._kept.move_to_end(name)
        return kept

    def put(self, name: bytes, parts: Sequence[bytes]) -> None:
        """Keeps an answer, unless it alone is larger than `largest_bytes`."""
        size_bytes = len(name) + sum(map(len, parts))
        if size_bytes > self.largest_bytes:
            return
        if name in self._kept:
            self._drop(name)
        self._kept[name] = Kept(parts, self._clock.monotonic_s(), size_bytes)
        self.size_bytes += size_bytes
        while len(self._kept) > self._max_entries or self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: bytes) -> None:
        self.size_bytes -= self._kept.pop(name).size_bytes


class AnswerCache:
    """Answers from the store, else by playing, once for all who ask the same at the same time.

    `on_finished` gets one record per request that was not played itself: a hit, or what became of its wait. Only whole
    answers are kept: no failure, none that was cut at a length, none of an ensemble that was degraded. Streams are kept
    and given back event by event.
    """

    def __init__(
        self, store: AnswerStore, on_finished: Callable[[DecisionRecord], None], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._store = store
        self._on_finished = on_finished
        self._clock = clock
        self._under_way: dict[bytes, asyncio.Future[bytes | LLMError | None]] = {}
        self._streams: dict[bytes, SharedStream] = {}

    async def complete(self, request: ChatRequest, play: Play) -> Reply:
        """The whole answer. Raises what playing raises."""
        if request.wishes.cache == "bypass":
            return await play(request)
        name = name_of(request)
        if request.wishes.cache == "refresh":
            return await self._played(name, request, play)
        while True:
            if kept := self._store.get(name):
                return self._again(kept.parts[0], request)
            under_way = self._under_way.get(name)
            if under_way is None:
                return await self._played_for_all(name, request, play)
            with self._end_of_wait_recorded(request):
                told = await asyncio.shield(under_way)
                if isinstance(told, LLMError):
                    raise told.with_traceback(None)
            if told is not None:
                return self._again(told, request)

    async def open_stream(self, request: ChatRequest, open_stream: OpenStream) -> StreamedReply:
        """The answer as a stream: a kept one, one that another caller reads already, or one of its own."""
        if request.wishes.cache == "bypass":
            return await open_stream(request)
        name = name_of(request)
        if request.wishes.cache == "refresh":
            return await self._led(name, request, open_stream)
        if kept := self._store.get(name):
            *events, last = kept.parts
            body, headers = self._hit(orjson.loads(last), request)
            return StreamedReply(headers, _replayed([*events, orjson.dumps(body)]))
        if shared := self._streams.get(name):
            return await self._joined(shared, request)
        return await self._led(name, request, open_stream)

    async def _joined(self, shared: SharedStream, request: ChatRequest) -> StreamedReply:
        is_hit = False

        def as_hit(last: bytes) -> bytes:
            nonlocal is_hit
            is_hit = True
            return orjson.dumps(self._hit(orjson.loads(last), request)[0])

        async def leave() -> None:
            await joined.events.aclose()
            if not is_hit:
                ending = shared.failure or asyncio.CancelledError()
                self._on_finished(refused(request, ending, self._clock, STRATEGY))

        with self._end_of_wait_recorded(request):
            joined = await shared.join(as_hit)
        backend = {key: value for key, value in joined.headers.items() if key == "x-troupe-backend"}
        return StreamedReply(HIT_HEADERS | backend, HandedOn(joined.events, leave))

    @contextmanager
    def _end_of_wait_recorded(self, request: ChatRequest) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._on_finished(refused(request, error, self._clock, STRATEGY))
            raise

    async def _led(self, name: bytes, request: ChatRequest, open_stream: OpenStream) -> StreamedReply:
        def keep(stream: SharedStream) -> None:
            if _is_whole_stream(stream.events):
                self._store.put(name, stream.events)

        def forget(stream: SharedStream) -> None:
            if self._streams.get(name) is stream:
                del self._streams[name]

        shared = self._streams[name] = SharedStream(lambda: open_stream(request), keep, forget)
        return await shared.join()

    async def _played_for_all(self, name: bytes, request: ChatRequest, play: Play) -> Reply:
        """Plays while others wait. If the caller leaves, one of those plays in its place."""
        told: bytes | LLMError | None = None
        under_way = self._under_way[name] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._played(name, request, play)
            told = orjson.dumps(reply.body)
        except LLMError as error:
            told = error
            raise
        finally:
            del self._under_way[name]
            under_way.set_result(told)
        return reply

    async def _played(self, name: bytes, request: ChatRequest, play: Play) -> Reply:
        reply = await play(request)
        if _is_whole(reply.body):
            self._store.put(name, [orjson.dumps(reply.body)])
        return reply

    def _again(self, body: bytes, request: ChatRequest) -> Reply:
        return Reply(*self._hit(orjson.loads(body), request))

    def _hit(self, body: JsonObject, request: ChatRequest) -> tuple[JsonObject, dict[str, str]]:
        """The body as an answer to this request, and its headers; the hit is on the books."""
        before: JsonObject = body["troupe"]
        latency_ms = (self._clock.monotonic_s() - request.received_s) * 1000
        record = DecisionRecord(
            request_id=request.request_id,
            finished_at_s=self._clock.wall_s(),
            model=request.model,
            strategy=STRATEGY,
            backend=before["backend"],
            outcome="ok",
            status=200,
            latency_ms=latency_ms,
            overhead_ms=latency_ms,
            stream=request.stream,
            cost_usd=0.0,
            key_name=request.key_name,
            saved_usd=before["cost_usd"] or 0.0,
        )
        self._on_finished(record)
        told = {
            **before,
            "request_id": request.request_id,
            "attempts": [],
            "overhead_ms": round(latency_ms, 3),
            "cost_usd": 0.0,
            "cache": {"hit": True, "request_id": before["request_id"]},
        }
        headers = {**HIT_HEADERS, "x-troupe-overhead-ms": f"{latency_ms:.3f}"}
        if record.backend is not None:
            headers["x-troupe-backend"] = record.backend
        return {**body, "troupe": told}, headers


def name_of(request: ChatRequest) -> bytes:
    """The same for two requests only if they come with the same key and ask for the same in the same way."""
    asked: list[Any] = [
        request.key_name,
        request.model,
        request.stream,
        request.include_usage,
        asdict(replace(request.wishes, cache=None)),
        request.body,
    ]
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()


def _is_whole(body: JsonObject) -> bool:
    choices = body.get("choices") or [{}]
    degraded = (body["troupe"].get("ensemble") or {}).get("degraded")
    return not degraded and all(choice.get("finish_reason") in WHOLE for choice in choices)


def _is_whole_stream(events: Sequence[bytes]) -> bool:
    if not events or "troupe" not in (last := orjson.loads(events[-1])):
        return False
    finishes = {
        choice["finish_reason"]
        for event in events
        if b"finish_reason" in event
        for choice in orjson.loads(event).get("choices") or ()
        if choice.get("finish_reason") is not None
    }
    return bool(finishes) and finishes <= WHOLE and not (last["troupe"].get("ensemble") or {}).get("degraded")


async def _replayed(events: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield event
