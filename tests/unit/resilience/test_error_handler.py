"""Does every failure leave as one of ours, counted, and without a word too much?"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest

from actors.protocol.errors import (
    BackendTimeout,
    BackendUnavailable,
    DeadlineExceeded,
    LLMError,
    LLMRouterError,
    MalformedAnswer,
    OptimizerError,
    RateLimited,
)
from actors.resilience.backoff import Backoff
from actors.resilience.error_handler import (
    COMPONENTS,
    ErrorAggregator,
    ErrorContext,
    error_aggregator,
    handle_error,
    safe_execute,
)
from actors.resilience.retry import RetryPolicy

SECRET = "sk-secret"


def raising(error: BaseException) -> Callable[[], Awaitable[str]]:
    async def operation() -> str:
        raise error

    return operation


async def fine() -> str:
    return "fine"


@pytest.mark.parametrize(
    ("error", "component", "expected", "code"),
    [
        (TimeoutError(SECRET), "backend", BackendTimeout, "timeout"),
        (ConnectionResetError(SECRET), "backend", BackendUnavailable, "backend_unavailable"),
        (EOFError(SECRET), "backend", BackendUnavailable, "backend_unavailable"),
        (json.JSONDecodeError(SECRET, SECRET, 0), "backend", MalformedAnswer, "malformed_answer"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, SECRET), "backend", MalformedAnswer, "malformed_answer"),
        (TimeoutError(SECRET), "ensemble", DeadlineExceeded, "deadline_exceeded"),
        (TimeoutError(SECRET), "optimizer", OptimizerError, "timeout"),
        (KeyError(SECRET), "router", LLMRouterError, "no_backend"),
        (ZeroDivisionError(SECRET), "edge", LLMError, "internal_error"),
    ],
)
def test_a_foreign_error_becomes_ours_and_its_text_stays_behind(
    error: Exception, component: str, expected: type[LLMError], code: str
) -> None:
    ours = handle_error(error, component, "work")

    assert type(ours) is expected
    assert ours.code == code
    assert SECRET not in str(ours)
    assert f"{component}.work" in str(ours)


@pytest.mark.parametrize("component", [*COMPONENTS, "anything"])
def test_an_error_of_ours_stays_itself(component: str) -> None:
    error = RateLimited("slow down", "b")

    assert handle_error(error, component, "work") is error


async def test_what_works_is_passed_through() -> None:
    assert await safe_execute(fine, "router", "choose") == "fine"
    assert await safe_execute(fine, "router", "choose", timeout_s=5.0, retry=RetryPolicy()) == "fine"


async def test_a_failure_is_translated_and_counted() -> None:
    before = error_aggregator.count("router", "no_backend")

    with pytest.raises(LLMRouterError, match=r"router\.choose failed with KeyError") as failure:
        await safe_execute(raising(KeyError(SECRET)), "router", "choose")

    assert isinstance(failure.value.__cause__, KeyError)
    assert error_aggregator.count("router", "no_backend") == before + 1


async def test_an_error_of_ours_leaves_unchanged() -> None:
    error = OptimizerError("full")

    with pytest.raises(OptimizerError) as failure:
        await safe_execute(raising(error), "optimizer", "record")
    assert failure.value is error
    assert error.__cause__ is None


async def test_a_fallback_answers_instead() -> None:
    told = await safe_execute(raising(KeyError("x")), "router", "choose", fallback=lambda failure: failure.code)

    assert told == "no_backend"


async def test_time_limits_hold_for_all_tries_together() -> None:
    async def silent() -> str:
        await asyncio.Event().wait()
        return "never"

    with pytest.raises(OptimizerError, match="not done in time") as failure:
        await safe_execute(silent, "optimizer", "record", timeout_s=0.0, retry=RetryPolicy())
    assert (failure.value.status, failure.value.code) == (504, "timeout")


async def test_retries_see_foreign_errors_as_ours() -> None:
    tries = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionResetError
        return "done"

    policy = RetryPolicy(1, Backoff(1e-6, 1e-6))

    assert await safe_execute(flaky, "backend", "call", retry=policy, rng=random.Random(1)) == "done"


async def test_cancellation_passes_untouched() -> None:
    with pytest.raises(asyncio.CancelledError):
        await safe_execute(raising(asyncio.CancelledError()), "router", "choose", fallback=lambda _: "no")


async def test_a_context_lets_only_our_errors_out_and_counts_them() -> None:
    aggregator = ErrorAggregator()
    context = ErrorContext("tracer", "record", aggregator)

    with pytest.raises(LLMError, match="tracer"), context:
        raise KeyError(SECRET)
    with pytest.raises(OptimizerError):
        async with ErrorContext("optimizer", "record", aggregator):
            raise OptimizerError("full")
    async with ErrorContext("optimizer", "record", aggregator) as quiet:
        pass

    assert (context.failure is not None, quiet.failure) == (True, None)
    assert aggregator.report()["total"] == 2


def test_a_context_does_not_touch_what_is_no_error() -> None:
    with pytest.raises(KeyboardInterrupt), ErrorContext("tracer", "record") as context:
        raise KeyboardInterrupt
    assert context.failure is None
