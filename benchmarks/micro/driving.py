"""How is a piece of the request path run alone? Coroutines without an event loop, and a model that answers at once."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

from actors.protocol.messages import Answer, Attempt, Call, Chunk, Completion, DecisionRecord, Usage

T = TypeVar("T")

USAGE = Usage(20, 1)
COMPLETION = Completion(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "instant",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "45"}, "finish_reason": "stop"}],
        "usage": USAGE.as_json(),
    },
    "45",
    "stop",
    USAGE,
)
CALL = Call("req_1", {"messages": [{"role": "user", "content": "What is 17 + 28?"}]}, 60.0)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never has to wait. Raises `AssertionError` for one that waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise AssertionError("This coroutine waits for something.")


def measured_anew(
    benchmark: BenchmarkFixture, function: Callable[..., T], arguments: Callable[[], tuple[Any, ...]], rounds: int
) -> T:
    """The function's last result; each of its runs gets arguments of its own, whose making is not measured."""
    measure: Callable[..., T] = benchmark.pedantic
    return measure(function, setup=lambda: (arguments(), {}), rounds=rounds, warmup_rounds=5)


@dataclass(frozen=True, slots=True)
class InstantModel:
    """A model that has answered before it is asked."""

    async def complete(self, call: Call) -> Completion:
        return COMPLETION

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        yield Chunk(b"{}", "45", "stop", USAGE)


def answer(backend: str, text: str) -> Answer:
    """One member's answer, with that text."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return Answer(backend, Completion(body, text, "stop", USAGE), 1.0)


def record(number: int) -> DecisionRecord:
    """What a request to one backend led to; each number is another request."""
    attempts = (Attempt("instant", "ok", 1.2, None, USAGE, 0.0001),)
    return DecisionRecord(
        request_id=f"req_{number:024x}",
        finished_at_s=1e9 + number,
        model="instant",
        strategy="single",
        backend="instant",
        outcome="ok",
        status=200,
        latency_ms=1.3,
        overhead_ms=0.2,
        stream=False,
        attempts=attempts,
        usage=USAGE,
        cost_usd=0.0001,
    )
