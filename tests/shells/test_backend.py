"""Backend: waiting for its model, batching chunks, stopping work."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.backend import Backend, coalesced
from actors.protocol.clock import ManualClock
from actors.protocol.errors import BackendTimeout, BackendUnavailable, CatalogueError
from actors.protocol.messages import LEASE_VERSION, Call, Chunk, Completion
from actors.routing.shares import Allowance, Renewal
from actors.routing.table import Lease

CALL = Call("req_1", {"messages": []}, 5.0)


class FakeProvider:
    """A model that answers at once, or whose start fails a given number of times."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.closed = False

    async def start(self) -> None:
        if self.fails:
            self.fails -= 1
            raise CatalogueError("no weights")

    async def complete(self, call: Call) -> Completion:
        return Completion({}, "hello", "stop", None)

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        for text in ("a", "b", "c"):
            yield Chunk(text.encode(), text)

    async def probe(self) -> None:
        return None

    async def aclose(self) -> None:
        self.closed = True


def backend_of(provider: FakeProvider) -> Backend:
    return Backend("b", lambda: provider, Lease(None), lambda: None, Allowance(8), replicas=2, clock=ManualClock())


async def test_a_call_waits_for_the_model_to_load() -> None:
    backend = backend_of(FakeProvider())
    asking = asyncio.create_task(backend.complete(CALL))
    assert not (await backend.pulse()).healthy

    await backend.start()

    assert (await asking).text == "hello"
    assert (await backend.pulse()).healthy
    await backend.stop()


async def test_a_call_that_outlives_its_deadline_while_loading_says_why() -> None:
    backend = backend_of(FakeProvider(fails=99))
    await backend.start()
    await asyncio.sleep(0)

    with pytest.raises(BackendUnavailable, match="no weights"):
        await backend.complete(Call("req_1", {}, 0.01))

    assert (await backend.pulse()).detail == "no weights"
    await backend.stop()


async def test_a_stream_keeps_order_and_loses_nothing() -> None:
    backend = backend_of(FakeProvider())
    await backend.start()

    batches = [batch async for batch in backend.stream(CALL)]

    assert [chunk.text for batch in batches for chunk in batch] == ["a", "b", "c"]
    await backend.stop()


async def test_stopping_closes_the_provider() -> None:
    provider = FakeProvider()
    backend = backend_of(provider)
    await backend.start()
    await backend.complete(CALL)

    await backend.stop()

    assert provider.closed


async def test_it_grants_each_replica_its_share() -> None:
    backend = backend_of(FakeProvider())

    grant = await backend.renew(Renewal("r1", held=Allowance(4), in_flight=4, wanted=Allowance(9)))

    assert grant.share == Allowance(4)  # the other replica's half is kept for it


async def test_a_lease_can_be_revoked_and_restored_and_its_version_rises_over_a_restart() -> None:
    backend = backend_of(FakeProvider())
    versions = [(await backend.pulse()).gauges[LEASE_VERSION]]
    revoked = []
    for change in (backend.revoke, backend.restore):
        await change()
        revoked.append((await backend.lease()).is_revoked)
        versions.append((await backend.pulse()).gauges[LEASE_VERSION])

    assert revoked == [True, False]
    assert versions[0] == 0
    assert versions[0] < versions[1] < versions[2]


async def test_what_piled_up_meanwhile_goes_out_as_one_batch() -> None:
    gate = asyncio.Event()

    async def chunks() -> AsyncIterator[Chunk]:
        yield Chunk(b"1")
        await gate.wait()
        for data in (b"2", b"3", b"4"):
            yield Chunk(data)

    batches = coalesced(chunks(), 0.0)
    first = await anext(batches)
    gate.set()
    rest = [batch async for batch in batches]

    assert [chunk.data for chunk in first] == [b"1"]
    assert [[chunk.data for chunk in batch] for batch in rest] == [[b"2", b"3", b"4"]]


async def test_an_error_comes_after_all_that_arrived_before_it() -> None:
    async def chunks() -> AsyncIterator[Chunk]:
        yield Chunk(b"1")
        raise BackendTimeout("silence", "b")

    batches = coalesced(chunks(), 0.0)

    assert [chunk.data for chunk in await anext(batches)] == [b"1"]
    with pytest.raises(BackendTimeout):
        await anext(batches)


async def test_closing_a_batched_stream_closes_its_source() -> None:
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[Chunk]:
        try:
            yield Chunk(b"1")
            await asyncio.Event().wait()
        finally:
            closed.set()

    batches = coalesced(chunks(), 0.0)
    await anext(batches)
    await batches.aclose()

    assert closed.is_set()
