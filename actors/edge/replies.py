"""How does what happened become what the caller reads: the reply's body, its `troupe` object, its headers?"""

from collections.abc import Mapping

import orjson

from actors.protocol.messages import Answer, DecisionRecord, JsonObject


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
    if record.usage is not None and record.usage.estimated:
        told["estimated_usage"] = record.usage.as_json()
    if record.excluded:
        told["excluded"] = [{"backend": name, "reason": reason} for name, reason in record.excluded]
    if record.ensemble is not None:
        told["ensemble"] = record.ensemble.as_json()
        told["usage"] = {
            attempt.backend: attempt.usage.as_json() for attempt in record.attempts if attempt.usage is not None
        }
    return told


def headers(backend: str | None, attempts: int, overhead_ms: float, cost_usd: float | None) -> Mapping[str, str]:
    """The `x-troupe-` headers; of a stream they hold what is known at the first byte."""
    told = {"x-troupe-attempts": str(attempts), "x-troupe-overhead-ms": f"{overhead_ms:.3f}"}
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


def with_troupe(event: bytes, record: DecisionRecord) -> bytes:
    """The event with the `troupe` object added."""
    body: JsonObject = orjson.loads(event)
    body["troupe"] = troupe_object(record)
    if body.get("usage") and record.ensemble is not None and record.usage is not None:
        body["usage"] = record.usage.as_json()  # of all calls, where the event tells only its own
    return orjson.dumps(body)
