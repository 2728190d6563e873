"""The ledger: what is kept until it is acknowledged, what is sent once, and what is counted as lost."""

import asyncio
from dataclasses import replace

import pytest

from actors.edge.ledger import FLUSH_EVERY_S, FOLD_AT, UNDER_LOAD_S, Ledger
from actors.protocol.columns import Written, ids_in
from actors.protocol.errors import OptimizerError, TracerError
from actors.protocol.messages import DecisionRecord, EnsembleReport, Vote
from actors.tracing.sums import Batch


class FakeReaders:
    def __init__(self) -> None:
        self.away = False
        self.breaks = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.seen_by_tracer = ""
        self.decisions: list[str] = []
        self.measurements: list[str] = []

    async def record_decisions(self, records: Written) -> None:
        if self.away:
            raise OptimizerError("away")
        if self.breaks:
            raise RuntimeError("broken")
        await self.gate.wait()
        told = records.joined()
        self.batches.append(len(told))
        self.decisions += [record.request_id for record in told]

    async def trace(self, batch: Batch) -> None:
        if self.away:
            raise TracerError("away")
        self.seen_by_tracer += str([record.ensemble and record.ensemble.as_json() for record in batch.records])
        self.seen_by_tracer += str([bundle.content for bundle in batch.bundles])
        self.measurements += [name for bundle in batch.bundles for name in ids_in(bundle.content)]


def record(request_id: str) -> DecisionRecord:
    return DecisionRecord(request_id, 0.0, "m", "single", "b", "ok", 200, 5.0, 1.0, False)


@pytest.fixture
def readers() -> FakeReaders:
    return FakeReaders()


@pytest.fixture
def ledger(readers: FakeReaders) -> Ledger:
    return Ledger(readers)


async def flushed(ledger: Ledger) -> None:
    await ledger.flush_decisions()
    await ledger.flush_measurements()


async def test_both_readers_get_every_record_once(ledger: Ledger, readers: FakeReaders) -> None:
    ledger.write(record("1"))
    ledger.write(record("2"))

    await flushed(ledger)
    await flushed(ledger)

    assert readers.decisions == ["1", "2"]
    assert sorted(readers.measurements) == ["1", "2"]


async def test_records_wait_in_order_for_a_reader_that_is_away(ledger: Ledger, readers: FakeReaders) -> None:
    readers.away = True
    ledger.write(record("1"))
    await flushed(ledger)
    ledger.write(record("2"))
    readers.away = False

    await flushed(ledger)

    assert readers.decisions == ["1", "2"]
    assert readers.measurements == ["1", "2"]


async def test_a_long_queue_is_sent_in_batches(ledger: Ledger, readers: FakeReaders) -> None:
    for number in range(600):
        ledger.write(record(str(number)))

    await flushed(ledger)

    assert readers.batches == [384, 216]  # one part each
    assert readers.decisions == [str(number) for number in range(600)]


async def test_a_caller_who_leaves_during_a_flush_loses_nothing(ledger: Ledger, readers: FakeReaders) -> None:
    readers.gate.clear()
    ledger.write(record("1"))
    flushing = asyncio.create_task(ledger.flush_decisions())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    flushing.cancel()
    readers.gate.set()
    await ledger.flush_decisions()

    assert readers.decisions == ["1"]


async def test_the_tracer_never_learns_what_was_answered(ledger: Ledger, readers: FakeReaders) -> None:
    report = EnsembleReport(1, 1, 1, "majority_vote", "b", None, 1.0, False, False, [Vote("b", "a secret", 1.0)])
    ledger.write(replace(record("1"), ensemble=report))

    await flushed(ledger)

    assert "a secret" not in readers.seen_by_tracer
    assert readers.decisions == ["1"]


async def test_with_measuring_off_the_tracer_hears_nothing(readers: FakeReaders) -> None:
    ledger = Ledger(readers, measuring=False)
    ledger.write(record("1"))

    await flushed(ledger)

    assert (readers.decisions, readers.measurements) == (["1"], [])


async def test_a_reader_that_breaks_does_not_end_the_loop(ledger: Ledger, readers: FakeReaders) -> None:
    readers.breaks = True
    ledger.write(record("1"))
    await flushed(ledger)
    readers.breaks = False

    await flushed(ledger)

    assert readers.decisions == ["1"]


async def test_the_tracer_alone_hears_of_who_was_turned_away(ledger: Ledger, readers: FakeReaders) -> None:
    ledger.write(record("1"))
    ledger.note(record("2"))

    await flushed(ledger)

    assert readers.decisions == ["1"]
    assert sorted(readers.measurements) == ["1", "2"]


async def test_a_record_that_cannot_be_written_does_not_keep_back_the_others(
    ledger: Ledger, readers: FakeReaders
) -> None:
    for model in ("m", "\ud800", "n"):
        ledger.write(replace(record(model.encode("utf-8", "replace").decode()), model=model))

    await flushed(ledger)

    assert readers.decisions == ["m", "n"]


async def test_under_load_the_tracer_is_told_less_often(ledger: Ledger) -> None:
    for number in range(FOLD_AT):
        ledger.write(record(str(number)))

    await ledger.flush_measurements()
    assert ledger.tells_every_s == UNDER_LOAD_S

    ledger.write(record("one more"))
    await ledger.flush_measurements()
    assert ledger.tells_every_s == FLUSH_EVERY_S
