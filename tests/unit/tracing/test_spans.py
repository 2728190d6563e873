"""Is every kind of work traced, and only when it should be?"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing

import pytest

from actors.protocol.errors import BackendTimeout
from actors.tracing.aggregates import Key
from actors.tracing.records import SpanRecord
from actors.tracing.spans import (
    TracedSection,
    current_request_id,
    note_request,
    performance_tracer,
    trace_block,
    trace_block_async,
    trace_operations,
    trace_performance,
)


@pytest.fixture
def spans() -> Iterator[list[SpanRecord]]:
    seen: list[SpanRecord] = []
    performance_tracer.configure(enabled=True, sink=seen.append)
    yield seen
    performance_tracer.configure(enabled=True)


@trace_performance("router")
def choose(number: int) -> int:
    """Chooses."""
    if number < 0:
        raise ValueError(number)
    return number + 1


@trace_performance("backend", "ask")
async def ask(error: BaseException | None = None) -> str:
    if error is not None:
        raise error
    return "answer"


@trace_performance("backend", "words")
def words() -> Generator[str, None, int]:
    yield "one"
    with trace_block("backend", "inner"):
        pass
    yield "two"
    return 2


@trace_performance("backend", "tokens")
async def tokens(closed: list[bool]) -> AsyncGenerator[str, None]:
    try:
        yield "one"
        async with trace_block_async("backend", "inner"):
            pass
        yield "two"
    finally:
        closed.append(True)


def test_a_function_is_traced_under_its_name_and_stays_itself(spans: list[SpanRecord]) -> None:
    assert choose(1) == 2

    (span,) = spans
    assert (span.component, span.operation, span.outcome) == ("router", "choose", "ok")
    assert span.duration_ms >= 0
    assert (choose.__name__, choose.__doc__) == ("choose", "Chooses.")


def test_kinds_of_functions_stay_what_they_are() -> None:
    assert inspect.iscoroutinefunction(ask)
    assert inspect.isgeneratorfunction(words)
    assert inspect.isasyncgenfunction(tokens)


def test_a_foreign_error_is_named_by_its_class(spans: list[SpanRecord]) -> None:
    with pytest.raises(ValueError, match="-1"):
        choose(-1)

    assert spans[0].outcome == "ValueError"


async def test_an_error_of_ours_is_named_by_its_code(spans: list[SpanRecord]) -> None:
    with pytest.raises(BackendTimeout):
        await ask(BackendTimeout("silent", "b"))

    assert spans[0].outcome == "timeout"


async def test_cancellation_is_no_error(spans: list[SpanRecord]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await ask(asyncio.CancelledError())

    assert spans[0].outcome == "cancelled"


async def test_spans_nest_and_hand_down_the_request_id(spans: list[SpanRecord]) -> None:
    with trace_block("gateway", "request", request_id="r1") as outer:
        outer.note("model", "m")
        await ask()
        async with trace_block_async("backend", "call", backend="b"):
            choose(1)

    by_operation = {span.operation: span for span in spans}
    request = by_operation["request"]
    assert request.parent_id is None
    assert by_operation["ask"].parent_id == by_operation["call"].parent_id == request.span_id
    assert by_operation["choose"].parent_id == by_operation["call"].span_id
    assert {span.request_id for span in spans} == {"r1"}
    assert (request.metadata, by_operation["call"].backend) == ({"model": "m"}, "b")


async def test_parallel_tasks_do_not_become_each_others_parents(spans: list[SpanRecord]) -> None:
    async def member(name: str) -> None:
        async with trace_block_async("backend", name):
            await asyncio.sleep(0)

    with trace_block("ensemble", "ask") as _:
        await asyncio.gather(member("a"), member("b"))

    parents = {span.operation: span.parent_id for span in spans}
    assert parents["a"] == parents["b"] == spans[-1].span_id


def test_a_generator_is_one_span_and_returns_its_value(spans: list[SpanRecord]) -> None:
    returned: list[int] = []

    def consume() -> Generator[str, None, None]:
        returned.append((yield from words()))

    assert (list(consume()), returned) == (["one", "two"], [2])

    inner, outer = spans
    assert (inner.parent_id, outer.outcome) == (outer.span_id, "ok")
    assert outer.first_item_ms is not None


def test_between_its_items_a_generator_is_not_its_consumers_parent(spans: list[SpanRecord]) -> None:
    for _ in words():
        choose(1)

    assert [span.parent_id for span in spans if span.operation == "choose"] == [None, None]


async def test_an_async_generator_is_one_span(spans: list[SpanRecord]) -> None:
    closed: list[bool] = []

    assert [token async for token in tokens(closed)] == ["one", "two"]

    inner, outer = spans
    assert (inner.parent_id, outer.outcome, closed) == (outer.span_id, "ok", [True])


async def test_a_stream_that_is_closed_early_is_cancelled_and_closed_inside(spans: list[SpanRecord]) -> None:
    closed: list[bool] = []

    async with aclosing(tokens(closed)) as stream:
        await anext(stream)

    assert (spans[0].outcome, closed) == ("cancelled", [True])


def test_a_sync_generator_that_is_closed_early_is_cancelled(spans: list[SpanRecord]) -> None:
    stream = words()
    next(stream)
    stream.close()

    assert spans[0].outcome == "cancelled"


async def test_switched_off_everything_works_and_nothing_is_recorded(spans: list[SpanRecord]) -> None:
    performance_tracer.configure(enabled=False, sink=spans.append)

    with trace_block("a", "b") as span:
        span.note("key", 1)
    async with trace_block_async("a", "b") as span:
        span.note("key", 1)
    assert (choose(1), await ask(), list(words())) == (2, "answer", ["one", "two"])
    assert [token async for token in tokens([])] == ["one", "two"]
    assert spans == []


def test_a_section_is_counted_with_its_outcome_and_only_while_tracing_is_on(spans: list[SpanRecord]) -> None:
    section, key = TracedSection("router", "order"), Key("router", "order")
    performance_tracer.collect()

    with section:
        pass
    with pytest.raises(BackendTimeout), section:
        raise BackendTimeout("late")
    performance_tracer.configure(enabled=False)
    with section:
        pass

    told = performance_tracer.collect()
    assert told is not None
    assert (told.tallies[key].count, told.tallies[key].errors) == (2, {"timeout": 1})
    assert spans == []


async def test_work_that_learns_for_which_request_it_is_done_says_so(spans: list[SpanRecord]) -> None:
    note_request("nobody's")
    with trace_block("backend", "complete"):
        note_request("req_1")
        await ask()
        assert current_request_id() == "req_1"

    assert [(span.operation, span.request_id) for span in spans] == [("ask", "req_1"), ("complete", "req_1")]
    assert current_request_id() is None


def test_notes_are_bounded(spans: list[SpanRecord]) -> None:
    with trace_block("a", "b") as span:
        for index in range(100):
            span.note(f"key_{index}", index)

    assert len(spans[0].metadata) == 32


def test_a_function_that_is_no_generator_but_returns_one_is_traced_as_a_function(spans: list[SpanRecord]) -> None:
    @trace_performance("router", "plan")
    def plan() -> Iterator[str]:
        return iter(["a"])

    assert list(plan()) == ["a"]
    assert [span.operation for span in spans] == ["plan"]


@trace_operations("router", without=("wait",))
class Operating:
    async def work(self) -> str:
        return "done"

    async def items(self) -> AsyncGenerator[int, None]:
        yield 1

    async def wait(self) -> None: ...

    async def _inner(self) -> None: ...

    def quick(self) -> None: ...


async def test_public_operations_of_a_class_are_spans_but_not_those_that_wait(spans: list[SpanRecord]) -> None:
    one = Operating()

    await one.work()
    assert [item async for item in one.items()] == [1]
    await one.wait()
    await one._inner()
    one.quick()

    assert [(span.component, span.operation) for span in spans] == [("router", "work"), ("router", "items")]


@trace_performance("optimizer", "averages")
def averages() -> Generator[float, float, str]:
    """The mean of all numbers that it was sent; `ValueError` begins anew."""
    numbers: list[float] = []
    while True:
        try:
            numbers.append((yield sum(numbers) / max(1, len(numbers))))
        except ValueError:
            numbers = []
        if numbers and numbers[-1] < 0:
            return "negative"


@trace_performance("optimizer", "echoes")
async def echoes() -> AsyncGenerator[str, str]:
    heard = ""
    while True:
        try:
            heard = yield heard
        except ValueError:
            heard = "never mind"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_generator_hears_what_it_is_sent_and_what_is_thrown_in(spans: list[SpanRecord], enabled: bool) -> None:
    performance_tracer.configure(enabled=enabled, sink=spans.append)
    means = averages()
    next(means)

    assert (means.send(2.0), means.send(4.0), means.throw(ValueError()), means.send(8.0)) == (2.0, 3.0, 0.0, 8.0)
    with pytest.raises(StopIteration, match="negative"):
        means.send(-1.0)
    assert [span.outcome for span in spans] == ["ok"] * enabled


@pytest.mark.parametrize("enabled", [True, False])
async def test_so_does_an_async_generator(spans: list[SpanRecord], enabled: bool) -> None:
    performance_tracer.configure(enabled=enabled, sink=spans.append)
    answers = echoes()
    await anext(answers)

    assert (await answers.asend("hello"), await answers.athrow(ValueError())) == ("hello", "never mind")
    with pytest.raises(KeyError):
        await answers.athrow(KeyError())
    assert [span.outcome for span in spans] == ["KeyError"] * enabled
