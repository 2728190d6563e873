"""What is on record of a request that was answered without asking anybody: refused, failed with another, or left?"""

import asyncio
from typing import Final

from actors.edge.gateway import ChatRequest
from actors.protocol.clock import Clock
from actors.protocol.errors import LLMError, UnknownModel
from actors.protocol.messages import DecisionRecord

UNKNOWN: Final = "unknown"  # in place of names that callers make up: there is no end of them
NOT_PLAYED: Final = "none"
CLIENT_CLOSED_REQUEST: Final = 499


def turned_away(
    request_id: str,
    error: BaseException,
    received_s: float,
    clock: Clock,
    *,
    key_name: str | None = None,
    model: str = UNKNOWN,
    stream: bool = False,
    strategy: str = NOT_PLAYED,
) -> DecisionRecord:
    """The record of a request that ended in this error: one of ours, a cancellation (its caller left), or a bug."""
    elapsed_ms = (clock.monotonic_s() - received_s) * 1000
    if isinstance(error, LLMError):
        outcome, status = error.code, error.status
    elif isinstance(error, asyncio.CancelledError | GeneratorExit):
        outcome, status = "cancelled", CLIENT_CLOSED_REQUEST
    else:
        outcome, status = LLMError.code, LLMError.status
    return DecisionRecord(
        request_id=request_id,
        finished_at_s=clock.wall_s(),
        model=model,
        strategy=strategy,
        backend=None,
        outcome=outcome,
        status=status,
        latency_ms=elapsed_ms,
        overhead_ms=elapsed_ms,
        stream=stream,
        key_name=key_name,
    )


def refused(request: ChatRequest, error: BaseException, clock: Clock, strategy: str = NOT_PLAYED) -> DecisionRecord:
    """The same of a request that was understood."""
    model = UNKNOWN if isinstance(error, UnknownModel) else request.model
    return turned_away(
        request.request_id,
        error,
        request.received_s,
        clock,
        key_name=request.key_name,
        model=model,
        stream=request.stream,
        strategy=strategy,
    )
