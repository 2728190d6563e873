"""Whatever went wrong: which of our errors is it, who counts it, and what happens instead?"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar

from actors.protocol.clock import Deadline
from actors.protocol.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    CatalogueError,
    ConfigError,
    DeadlineExceeded,
    EnsembleError,
    LLMError,
    LLMRouterError,
    MalformedAnswer,
    OptimizerError,
    SupervisorError,
    TracerError,
)
from actors.resilience.aggregator import ErrorAggregator, error_aggregator
from actors.resilience.retry import RetryPolicy, retry_with_backoff

__all__ = ["ErrorAggregator", "ErrorContext", "error_aggregator", "handle_error", "safe_execute"]

log = logging.getLogger("troupe.errors")

T = TypeVar("T")

NO_LIMIT_S: Final = float("inf")

COMPONENTS: Final[Mapping[str, type[LLMError]]] = {
    "router": LLMRouterError,
    "backend": BackendError,
    "ensemble": EnsembleError,
    "optimizer": OptimizerError,
    "supervisor": SupervisorError,
    "tracer": TracerError,
    "config": ConfigError,
    "catalogue": CatalogueError,
}
"""What an unforeseen failure of each component is; of any other it is an `LLMError`."""

SPECIAL: Final[Mapping[str, tuple[tuple[type[Exception], type[LLMError]], ...]]] = {
    "backend": (
        (TimeoutError, BackendTimeout),
        (OSError, BackendUnavailable),
        (EOFError, BackendUnavailable),
        (UnicodeError, MalformedAnswer),
        (json.JSONDecodeError, MalformedAnswer),
    ),
    "ensemble": ((TimeoutError, DeadlineExceeded),),
}
"""Where the kind of the failure says more; the first match counts."""


def handle_error(error: Exception, component: str, operation: str) -> LLMError:
    """The error of our tree that this one is: itself, or the component's, named after the operation that failed.

    The text of a foreign error is not passed on: it may hold a credential, a prompt or a remote traceback.
    """
    if isinstance(error, LLMError):
        return error
    kind = COMPONENTS.get(component, LLMError)
    for foreign, ours in SPECIAL.get(component, ()):
        if isinstance(error, foreign):
            kind = ours
            break
    message = f"{component}.{operation} failed with {type(error).__name__}."
    if isinstance(error, TimeoutError) and kind in (COMPONENTS.get(component), LLMError):
        return kind(f"{component}.{operation} was not done in time.", None, None, None, 504, "timeout")
    return kind(message)


async def safe_execute(
    operation: Callable[[], Awaitable[T]],
    component: str,
    name: str,
    timeout_s: float | None = None,
    retry: RetryPolicy | None = None,
    fallback: Callable[[LLMError], T] | None = None,
    rng: random.Random | None = None,
) -> T:
    """The operation's result, or the fallback's; without one raises errors of the `LLMError` tree only.

    `timeout_s` spans all tries and the waits between them. The final failure is counted in `error_aggregator`.
    Cancellation passes untouched.
    """
    try:
        if timeout_s is None and retry is None:
            return await operation()
        return await _guarded(operation, component, name, timeout_s, retry, rng)
    except Exception as error:  # the one place whose duty is to turn any error into one of ours
        failure = handle_error(error, component, name)
        error_aggregator.record(failure, component, name)
        if fallback is None:
            if failure is error:
                raise
            raise failure from error
        log.warning("%s.%s failed (%s); its fallback answers", component, name, failure)
        return fallback(failure)


async def _guarded(
    operation: Callable[[], Awaitable[T]],
    component: str,
    name: str,
    timeout_s: float | None,
    retry: RetryPolicy | None,
    rng: random.Random | None,
) -> T:
    async def translated() -> T:
        try:
            return await operation()
        except LLMError:
            raise
        except Exception as error:
            raise handle_error(error, component, name) from error

    async with asyncio.timeout(timeout_s):
        if retry is None:
            return await operation()
        deadline = Deadline.after(NO_LIMIT_S if timeout_s is None else timeout_s)
        return await retry_with_backoff(translated, retry, deadline, rng or random.Random())


class ErrorContext:
    """A block, `with` or `async with`, that nothing but errors of the `LLMError` tree leaves; each is counted.

    Cancellation and the end of the process pass untouched. `failure` is what left the block, if anything did.
    """

    __slots__ = ("_aggregator", "component", "failure", "operation")

    def __init__(self, component: str, operation: str, aggregator: ErrorAggregator = error_aggregator) -> None:
        self.component = component
        self.operation = operation
        self.failure: LLMError | None = None
        self._aggregator = aggregator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if not isinstance(error, Exception):
            return
        self.failure = handle_error(error, self.component, self.operation)
        self._aggregator.record(self.failure, self.component, self.operation)
        if self.failure is not error:
            raise self.failure from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
