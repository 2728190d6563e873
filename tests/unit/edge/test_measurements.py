"""Is every request in the sums once, and is its record told when it matters?"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.edge.measurements import RECORDS_AT_ONCE, RECORDS_KEPT, Measurements
from actors.protocol.errors import TracerError
from actors.protocol.messages import Attempt, DecisionRecord
from actors.tracing.report import REQUEST, queue_key
from actors.tracing.sums import Batch


class FakeTracer:
    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.lost_acknowledgements = 0
        self.wanted: Sequence[str] = ()

    async def record(self, batch: Batch) -> Sequence[str]:
        self.batches.append(batch)
        if self.lost_acknowledgements:
            self.lost_acknowledgements -= 1
            raise TracerError("away")
        wanted, self.wanted = self.wanted, ()
        return wanted

    @property
    def told(self) -> list[str]:
        return [record.request_id for batch in self.batches for record in batch.records]

    @property
    def counted(self) -> int:
        seen = {batch.number: batch for batch in self.batches}
        return sum(batch.tallies[REQUEST].count for batch in seen.values() if REQUEST in batch.tallies)


@pytest.fixture
def tracer() -> FakeTracer:
    return FakeTracer()


@pytest.fixture
def measurements(tracer: FakeTracer) -> Measurements:
    return Measurements(tracer.record)


def request(number: int, outcome: str = "ok", latency_ms: float = 0.0) -> DecisionRecord:
    return DecisionRecord(f"req_{number:04x}", 0.0, "m", "single", "b", outcome, 200, latency_ms, 0.1, False)


async def test_what_a_batch_cannot_hold_is_in_its_sums_and_told_later(
    measurements: Measurements, tracer: FakeTracer
) -> None:
    for number in range(2 * RECORDS_AT_ONCE):
        measurements.write(request(number))

    await measurements.flush()

    assert (tracer.counted, len(tracer.told)) == (2 * RECORDS_AT_ONCE, RECORDS_AT_ONCE)
    await measurements.flush()
    assert len(set(tracer.told)) == 2 * RECORDS_AT_ONCE
    assert await measurements.flush()
    assert len(tracer.batches) == 2


async def test_an_unacknowledged_batch_comes_again_as_it_was(measurements: Measurements, tracer: FakeTracer) -> None:
    tracer.lost_acknowledgements = 1
    measurements.write(request(1))

    assert not await measurements.flush()
    measurements.write(request(2))
    assert await measurements.flush()

    assert [batch.number for batch in tracer.batches] == [1, 1, 2]
    assert tracer.batches[0] is tracer.batches[1]
    assert tracer.counted == 2


@pytest.mark.parametrize(
    "remarkable",
    [
        request(9, "timeout"),
        replace(request(9), attempts=[Attempt("a", "timeout", 1.0)]),
        request(9, latency_ms=5000.0),
    ],
    ids=["failed", "was repaired", "slow"],
)
async def test_what_is_remarkable_is_told_at_once(
    measurements: Measurements, tracer: FakeTracer, remarkable: DecisionRecord
) -> None:
    measurements.write(remarkable)
    for number in range(1000, 1000 + 3 * RECORDS_AT_ONCE):
        measurements.write(request(number))

    await measurements.flush()

    assert tracer.told[0] == "req_0009"


async def test_a_record_that_is_asked_for_is_told(measurements: Measurements, tracer: FakeTracer) -> None:
    for number in range(2 * RECORDS_AT_ONCE):
        measurements.write(request(number))
    tracer.wanted = ["req_0000", "req_ffff"]

    await measurements.flush()

    assert "req_0000" in tracer.told


async def test_no_more_records_are_kept_than_can_be_asked_for(measurements: Measurements, tracer: FakeTracer) -> None:
    for number in range(RECORDS_KEPT + 1):
        measurements.write(request(number))
    tracer.wanted = ["req_0000"]

    await measurements.flush()

    assert "req_0000" not in tracer.told
    assert tracer.counted == RECORDS_KEPT + 1


async def test_a_sample_is_told_and_all_are_counted(tracer: FakeTracer) -> None:
    measurements = Measurements(tracer.record, sample_01=0.25)
    measurements.write(request(0x3FFF))
    measurements.write(request(0x4000))

    await measurements.flush()

    assert (tracer.told, tracer.counted) == (["req_3fff"], 2)


async def test_where_every_record_counts_every_record_is_told(tracer: FakeTracer) -> None:
    measurements = Measurements(tracer.record, sample_01=0.0, every_record=True)
    for number in range(10 * RECORDS_AT_ONCE):
        measurements.write(request(number))

    await measurements.flush()

    assert len(set(tracer.told)) == 10 * RECORDS_AT_ONCE


async def test_waiting_for_a_slot_is_summed_up_by_itself(measurements: Measurements, tracer: FakeTracer) -> None:
    waited = Attempt("b", "ok", 10.0, queued_ms=4.0)
    measurements.write(replace(request(1), attempts=[waited, Attempt("b", "ok", 10.0)]))

    await measurements.flush()

    queue = tracer.batches[0].tallies[queue_key("b")]
    assert (queue.count, queue.latency.sum_ms) == (1, 4.0)


async def test_a_caller_who_leaves_during_a_flush_loses_nothing(tracer: FakeTracer) -> None:
    gate = asyncio.Event()

    async def slow(batch: Batch) -> Sequence[str]:
        await gate.wait()
        return await tracer.record(batch)

    measurements = Measurements(slow)
    measurements.write(request(1))
    flushing = asyncio.create_task(measurements.flush())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    flushing.cancel()
    gate.set()
    await measurements.flush()

    assert tracer.counted == 1
