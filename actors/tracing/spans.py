"""Which work is worth a span? Marks it: a decorator for functions and generators, blocks for the rest.

    @trace_performance("router", "choose")
    def choose(...): ...

    with trace_block("journal", "commit") as span:
        span.note("rows", len(rows))

A span is the child of the one that is open around it in the same task. With tracing off nothing is recorded.
"""

import asyncio
import inspect
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial, wraps
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast

from actors.protocol.errors import LLMError
from actors.protocol.messages import AttemptOutcome
from actors.tracing.aggregates import Key
from actors.tracing.recorder import FOLD_AT, PerformanceTracer
from actors.tracing.records import NO_METADATA, AsyncSpanBlock, MetadataValue, SpanBlock, SpanRecord

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

MAX_NOTES: Final = 32

performance_tracer = PerformanceTracer()
"""This process's own recorder. Each process has one; the tracer actor sums up what they hand out."""

_ids = itertools.count(1)


class _OpenSpan:
    """One span from its start to its end. Entered and left once; its record goes to the tracer when it ends."""

    __slots__ = (
        "backend",
        "component",
        "first_item_ms",
        "metadata",
        "operation",
        "parent",
        "request_id",
        "span_id",
        "started_s",
    )

    def __init__(
        self,
        component: str,
        operation: str,
        backend: str | None = None,
        request_id: str | None = None,
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> None:
        self.component = component
        self.operation = operation
        self.backend = backend
        self.request_id = request_id
        self.metadata = metadata
        self.first_item_ms: float | None = None
        self.span_id = next(_ids)

    def note(self, key: str, value: MetadataValue) -> None:
        if len(self.metadata) < MAX_NOTES:
            self.metadata = {**self.metadata, key: value}

    def __enter__(self) -> Self:
        self.begin()
        _current.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        # Not reset by token: a block inside an async generator may be left in another context than it was entered in.
        _current.set(self.parent)
        self.end("ok" if error is None else outcome_of(error))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def begin(self) -> None:
        self.parent = _current.get()
        if self.request_id is None and self.parent is not None:
            self.request_id = self.parent.request_id
        self.started_s = performance_tracer.clock.monotonic_s()

    def item_came(self) -> None:
        if self.first_item_ms is None:
            self.first_item_ms = (performance_tracer.clock.monotonic_s() - self.started_s) * 1e3

    def end(self, outcome: AttemptOutcome) -> None:
        clock = performance_tracer.clock
        parent = self.parent
        performance_tracer.record(
            SpanRecord(
                self.component,
                self.operation,
                outcome,
                (clock.monotonic_s() - self.started_s) * 1e3,
                clock.wall_s(),
                self.span_id,
                None if parent is None else parent.span_id,
                self.backend,
                self.request_id,
                self.first_item_ms,
                self.metadata,
            )
        )


class _NoSpan:
    """What a block is while tracing is off."""

    __slots__ = ()

    def note(self, key: str, value: MetadataValue) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


_NO_SPAN: Final = _NoSpan()
_current: ContextVar[_OpenSpan | None] = ContextVar("troupe_span", default=None)


def note_request(request_id: str) -> None:
    """Says for which request the work of the span is done that is open here, if one is."""
    span = _current.get()
    if span is not None:
        span.request_id = request_id


def current_request_id() -> str | None:
    """The request for which work is done here, as far as a span knows it."""
    span = _current.get()
    return None if span is None else span.request_id


class TracedSection:
    """A section of code without `await`, not nested in itself, that is measured for a third of a span's cost.

    It counts in the sums like every operation, but is not among the slowest, has no metadata and no parent. Made once,
    entered often: `with ORDERING: ...`.
    """

    __slots__ = ("_began_s", "_durations_ms", "_key")

    def __init__(self, component: str, operation: str) -> None:
        self._key = Key(component, operation)
        self._durations_ms = performance_tracer.section(self._key)
        self._began_s: float | None = None

    def __enter__(self) -> None:
        self._began_s = performance_tracer.clock.monotonic_s() if performance_tracer.enabled else None

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if self._began_s is not None:
            duration_ms = (performance_tracer.clock.monotonic_s() - self._began_s) * 1e3
            if error is not None:
                performance_tracer.note_failure(self._key, outcome_of(error), duration_ms)
                return
            self._durations_ms.append(duration_ms)
            if len(self._durations_ms) >= FOLD_AT:
                performance_tracer.fold()


def trace_block(
    component: str,
    operation: str,
    backend: str | None = None,
    request_id: str | None = None,
    metadata: Mapping[str, MetadataValue] = NO_METADATA,
) -> SpanBlock:
    """A span over a `with` block. Without a `request_id` it has that of the span around it."""
    if not performance_tracer.enabled:
        return _NO_SPAN
    return _OpenSpan(component, operation, backend, request_id, metadata)


def trace_block_async(
    component: str,
    operation: str,
    backend: str | None = None,
    request_id: str | None = None,
    metadata: Mapping[str, MetadataValue] = NO_METADATA,
) -> AsyncSpanBlock:
    """A span over an `async with` block; otherwise like `trace_block`."""
    if not performance_tracer.enabled:
        return _NO_SPAN
    return _OpenSpan(component, operation, backend, request_id, metadata)


def trace_performance(component: str, operation: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function, coroutine function, generator or async generator so that each run of it is a span.

    Without an `operation` the function's name is used. Of a generator, the span lasts from its first step to its end;
    one that is closed early is `cancelled`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        wrap = _wrapper_for(function)
        return cast(Callable[P, R], wraps(function)(wrap(function, component, operation or function.__name__)))

    return decorate


def trace_operations(component: str, *, without: Collection[str] = ("pulse",)) -> Callable[[type[T]], type[T]]:
    """Decorates a class so that each run of its public coroutines and async generators is a span.

    `without` names those that wait on purpose, or are asked all the time.
    """

    def decorate(plain: type[T]) -> type[T]:
        for name, function in vars(plain).copy().items():
            is_operation = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            if is_operation and not name.startswith("_") and name not in without:
                setattr(plain, name, trace_performance(component)(function))
        return plain

    return decorate


def outcome_of(error: BaseException) -> AttemptOutcome:
    """`cancelled`, the `code` of one of our errors, or the class name of any other."""
    if isinstance(error, LLMError):
        return error.code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return type(error).__name__


def _wrapper_for(function: Callable[..., Any]) -> Callable[[Callable[..., Any], str, str], Callable[..., Any]]:
    if inspect.isasyncgenfunction(function):
        return _traced_async_generator
    if inspect.isgeneratorfunction(function):
        return _traced_generator
    if inspect.iscoroutinefunction(function):
        return _traced_coroutine
    return _traced_function


def _traced_function(function: Callable[P, R], component: str, operation: str) -> Callable[P, R]:
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if not performance_tracer.enabled:
            return function(*args, **kwargs)
        with _OpenSpan(component, operation):
            return function(*args, **kwargs)

    return run


def _traced_coroutine(function: Callable[P, Awaitable[R]], component: str, operation: str) -> Callable[P, Awaitable[R]]:
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if not performance_tracer.enabled:
            return await function(*args, **kwargs)
        with _OpenSpan(component, operation):
            return await function(*args, **kwargs)

    return run


# A generator runs in its consumer's context: its span is the current one only while a step of it runs.


def _traced_generator(
    function: Callable[P, Generator[R, S, T]], component: str, operation: str
) -> Callable[P, Generator[R, S, T]]:
    def run(*args: P.args, **kwargs: P.kwargs) -> Generator[R, S, T]:
        items = function(*args, **kwargs)
        if not performance_tracer.enabled:
            return (yield from items)
        span, outcome = _OpenSpan(component, operation), "ok"
        span.begin()
        resume: Callable[[], R] = partial(next, items)
        try:
            while True:
                _current.set(span)
                try:
                    item = resume()
                except StopIteration as end:
                    return cast(T, end.value)
                finally:
                    _current.set(span.parent)
                span.item_came()
                try:
                    resume = partial(items.send, (yield item))
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # noqa: BLE001  # by the consumer: the generator may know what to do
                    resume = partial(items.throw, thrown)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            items.close()
            span.end(outcome)

    return run


def _traced_async_generator(
    function: Callable[P, AsyncGenerator[R, S]], component: str, operation: str
) -> Callable[P, AsyncGenerator[R, S]]:
    async def run(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, S]:
        async with aclosing(function(*args, **kwargs)) as items:
            span = _OpenSpan(component, operation) if performance_tracer.enabled else None
            outcome = "ok"
            if span is not None:
                span.begin()
            resume: Callable[[], Awaitable[R]] = partial(anext, items)
            try:
                while True:
                    try:
                        item = await (resume() if span is None else _stepped(span, resume))
                    except StopAsyncIteration:
                        return
                    try:
                        resume = partial(items.asend, (yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:  # noqa: BLE001  # as above
                        resume = partial(items.athrow, thrown)
            except BaseException as error:
                outcome = outcome_of(error)
                raise
            finally:
                if span is not None:
                    span.end(outcome)

    return run


async def _stepped(span: _OpenSpan, resume: Callable[[], Awaitable[R]]) -> R:
    _current.set(span)
    try:
        item = await resume()
    finally:
        _current.set(span.parent)
    span.item_came()
    return item
