"""Is what a process does told to the tracer, and nothing lost while that is away?"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from actors.edge.operations import tell_operations_forever, traced
from actors.protocol.errors import TracerError
from actors.tracing.aggregates import Key
from actors.tracing.recorder import Operations
from actors.tracing.spans import performance_tracer, trace_block


class Collector:
    def __init__(self, fails: int) -> None:
        self.fails = fails
        self.told: list[Operations] = []
        self.has_heard = asyncio.Event()

    async def note_operations(self, operations: Operations) -> None:
        if self.fails:
            self.fails -= 1
            raise TracerError("away")
        self.told.append(operations)
        self.has_heard.set()


class Worker:
    async def work(self) -> str:
        return "done"

    async def items(self) -> AsyncIterator[int]:
        yield 1

    async def pulse(self) -> str:
        return "alive"

    async def _secret(self) -> None: ...

    def quick(self) -> None: ...


@pytest.fixture(autouse=True)
def nothing_before() -> Iterator[None]:
    performance_tracer.collect()
    yield
    performance_tracer.collect()


async def test_what_a_collector_missed_is_told_when_it_is_back() -> None:
    collector = Collector(fails=2)
    telling = asyncio.create_task(tell_operations_forever(collector, every_s=0.0))

    with trace_block("cache", "get"):
        pass
    await collector.has_heard.wait()
    telling.cancel()

    assert [told.tallies[Key("cache", "get")].count for told in collector.told] == [1]


def test_public_operations_are_traced_and_those_that_wait_on_purpose_are_not() -> None:
    assert sorted(traced(Worker, "router")) == ["items", "work"]


async def test_a_traced_operation_does_what_it_did() -> None:
    class Living(Worker):
        pass

    for name, function in traced(Worker, "router").items():
        setattr(Living, name, function)

    assert await Living().work() == "done"
    told = performance_tracer.collect()
    assert told is not None
    assert told.tallies[Key("router", "work")].count == 1
