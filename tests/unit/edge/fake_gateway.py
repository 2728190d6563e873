"""A gateway without a company: it answers at once, fails or hangs as told, and remembers what it was asked."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from actors.edge.gateway import ChatRequest, Reply, StreamedReply
from actors.edge.observatory import Observatory
from actors.protocol.errors import LLMError
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject
from actors.protocol.patterns import Trial
from actors.protocol.ratings import Verdict

HEADERS = {"x-troupe-backend": "alpha", "x-troupe-attempts": "1"}


def completion(text: str = "42") -> JsonObject:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "alpha",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }


def chunk(text: str, finish_reason: str | None = None) -> bytes:
    finish = f'"{finish_reason}"' if finish_reason else "null"
    return (
        b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"alpha","choices":'
        b'[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}' % (text.encode(), finish.encode())
    )


class FakeTracing:
    """A tracer that knows one request; `gone`: it does not answer."""

    def __init__(self) -> None:
        self.gone = False
        self.days: list[str | None] = []

    async def flush(self) -> None:
        if self.gone:
            await asyncio.get_running_loop().create_future()

    async def performance_report(self, recent: int) -> JsonObject:
        return {"operations": {}, "recent": recent}

    async def usage(self, day: str | None) -> JsonObject:
        self.days.append(day)
        return {"total": {"requests": 1}}

    async def explain(self, request_id: str) -> JsonObject | None:
        return {"request_id": request_id} if request_id == "req_known" else None

    async def metrics(self) -> JsonObject:
        return {
            "dropped_records": 0,
            "overflowed_records": 0,
            "operations": [],
            "accounts": [],
            "quality": [],
            "budgets": [],
        }


@dataclass
class FakeGateway:
    """`events` are sent in order, an exception among them is raised; with `hangs`, what was not sent never comes.

    `pause_s` comes before each answer or event.
    """

    failure: Exception | None = None
    events: Sequence[bytes | Exception] = (chunk("4"), chunk("2", "stop"))
    hangs: bool = False
    pause_s: float = 0.0
    unready: str | None = None
    refusal: LLMError | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    tracing: FakeTracing = field(default_factory=FakeTracing)
    requests: list[ChatRequest] = field(default_factory=list)
    refusals: list[DecisionRecord] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    judgements: list[Verdict | Trial] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: threading.Event = field(default_factory=threading.Event)  # set when running work was ended from outside
    closed: threading.Event = field(default_factory=threading.Event)  # set when a stream's iterator is finished

    async def complete(self, request: ChatRequest) -> Reply:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        if self.hangs:
            await self._hang()
        await asyncio.sleep(self.pause_s)
        return Reply(completion(), self.headers)

    async def open_stream(self, request: ChatRequest) -> StreamedReply:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return StreamedReply(self.headers, self._replay())

    def turned_away(self, refusal: DecisionRecord) -> None:
        self.refusals.append(refusal)

    def models(self) -> list[JsonObject]:
        names = ("alpha", "beta", "org/gamma-1b")
        return [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "troupe"} for name in names]

    async def record_feedback(self, feedback: Feedback) -> JsonObject:
        self.feedback.append(feedback)
        return {"request_id": feedback.request_id, "recorded": True}

    async def status(self) -> JsonObject:
        return {"namespace": "troupe", "actors": [], "backends": []}

    async def optimizer_report(self) -> JsonObject:
        return {"feedback": {"acknowledged": len(self.feedback)}}

    async def export_learning(self) -> JsonObject:
        return {"judgements": [judgement.as_json() for judgement in self.judgements]}

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> JsonObject:
        self.judgements.extend(learned)
        return {"imported": len(learned)}

    async def reset_learning(self) -> JsonObject:
        self.judgements.clear()
        return {"reset": True}

    async def errors(self) -> JsonObject:
        return {"total": 0, "errors": [], "recent": []}

    @property
    def observatory(self) -> Observatory:
        return Observatory(self.tracing, self.tracing.flush, self.status)

    def not_ready_because(self) -> str | None:
        return self.unready

    def refuses_because(self) -> LLMError | None:
        return self.refusal

    async def _replay(self) -> AsyncGenerator[bytes, None]:
        try:
            for event in self.events:
                await asyncio.sleep(self.pause_s)
                if isinstance(event, Exception):
                    raise event
                yield event
            if self.hangs:
                await self._hang()
        finally:
            self.closed.set()

    async def _hang(self) -> None:
        self.hanging.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
