"""How does what happened become what the caller reads: the reply's body, its `troupe` object, its headers?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from actors.protocol.messages import Answer, Attempt, Chunk, DecisionRecord, JsonObject, Usage


def troupe_object(record: DecisionRecord) -> JsonObject:
    """The reply's `troupe` object: what happened to this request."""
    told: JsonObject = {
        "request_id": record.request_id,
        "strategy": record.strategy,
        "backend": record.backend,
        "attempts": [attempt.as_json() for attempt in record.attempts],
        "overhead_ms": round(record.overhead_ms, 3),
        "cost_usd": record.cost_usd,
        "optimizer": {
            "task_type": record.task_type,
            "pattern": record.pattern,
            "propensity_01": record.propensity_01,
        },
    }
    if record.ensemble is not None:
        told["ensemble"] = record.ensemble.as_json()
        told["usage"] = {
            attempt.backend: attempt.usage.as_json() for attempt in record.attempts if attempt.usage is not None
        }
    return told


def headers(
    backend: str | None, attempts: Sequence[Attempt], overhead_ms: float, cost_usd: float | None
) -> Mapping[str, str]:
    """The `x-troupe-` headers; of a stream they hold what is known at the first byte."""
    told = {"x-troupe-attempts": str(len(attempts)), "x-troupe-overhead-ms": f"{overhead_ms:.3f}"}
    if backend is not None:
        told["x-troupe-backend"] = backend
    if cost_usd is not None:
        told["x-troupe-cost-usd"] = f"{cost_usd:.8f}"
    return told


def merged_body(answer: Answer, record: DecisionRecord) -> JsonObject:
    """One completion out of an ensemble's: the winner's message, everybody's usage, no log probabilities."""
    body = answer.completion.body
    choice: JsonObject = {"index": 0, "message": {"role": "assistant", "content": answer.text}}
    if body.get("choices"):
        choice = {**body["choices"][0], "index": 0}
    return {
        "id": f"chatcmpl-{record.request_id}",
        "object": "chat.completion",
        "created": int(record.finished_at_s),
        "model": body.get("model") or answer.backend,
        "choices": [{**choice, "logprobs": None}],
        "usage": record.usage.as_json() if record.usage else None,
    }


def as_chunks(body: JsonObject, usage: Usage | None) -> Iterator[Chunk]:
    """A whole completion in the shape of a stream: role, content (and tool calls), finish, usage."""
    frame = {key: body[key] for key in ("id", "created", "model") if key in body} | {"object": "chat.completion.chunk"}
    choice = body["choices"][0]
    message: Mapping[str, Any] = choice["message"]

    def event(delta: JsonObject, finish_reason: str | None = None) -> bytes:
        return orjson.dumps({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    yield Chunk(event({"role": "assistant", "content": ""}))
    if message.get("content"):
        yield Chunk(event({"content": message["content"]}), text=str(message["content"]))
    for key in ("refusal", "reasoning_content"):
        if message.get(key):
            yield Chunk(event({key: message[key]}))
    if message.get("tool_calls"):
        calls = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
        yield Chunk(event({"tool_calls": calls}))
    finish_reason = choice.get("finish_reason") or "stop"
    yield Chunk(event({}, finish_reason), finish_reason=finish_reason)
    if usage is not None:
        yield Chunk(orjson.dumps({**frame, "choices": [], "usage": usage.as_json()}), usage=usage)


def with_troupe(event: bytes, record: DecisionRecord) -> bytes:
    """The event with the `troupe` object added."""
    body: JsonObject = orjson.loads(event)
    body["troupe"] = troupe_object(record)
    return orjson.dumps(body)
