"""Is what a process does told to the tracer, and nothing lost while that is away?"""

import asyncio
from collections.abc import Iterator

import pytest

from actors.edge.operations import begin_to_tell, tell_operations_forever
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


async def test_where_nobody_collects_nothing_is_traced() -> None:
    telling = begin_to_tell(None)

    with trace_block("cache", "get"):
        pass
    performance_tracer.configure(enabled=True)

    assert (telling, performance_tracer.collect()) == (None, None)
