"""Is every request in the sums once, and is its record told when it matters?"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.edge.measurements import BUNDLES_AT_ONCE, BUNDLES_KEPT, REMARKABLE_AT_ONCE, Measurements
from actors.protocol.columns import ids_in
from actors.protocol.errors import TracerError
from actors.protocol.messages import Attempt, DecisionRecord
from actors.resilience.error_handler import error_aggregator
from actors.tracing.report import OVERHEAD, REQUEST, backend_key, queue_key
from actors.tracing.sums import Batch


class FakeTracer:
    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.lost_acknowledgements = 0

    async def record(self, batch: Batch) -> None:
        self.batches.append(batch)
        if self.lost_acknowledgements:
            self.lost_acknowledgements -= 1
            raise TracerError("away")

    @property
    def told(self) -> list[str]:
        return [record.request_id for batch in self.batches for record in batch.records]

    @property
    def bundled(self) -> list[str]:
        return [name for batch in self.batches for bundle in batch.bundles for name in ids_in(bundle.content)]

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


def requests(count: int) -> Sequence[DecisionRecord]:
    return [request(number) for number in range(count)]


async def test_every_request_is_counted_and_bundled_once(measurements: Measurements, tracer: FakeTracer) -> None:
    measurements.add(requests(200))
    measurements.add([request(200), request(201)])

    assert await measurements.flush()

    assert tracer.counted == 202
    assert tracer.bundled == [record.request_id for record in requests(202)]
    assert len(tracer.batches) == 1


async def test_an_unacknowledged_batch_comes_again_as_it_was(measurements: Measurements, tracer: FakeTracer) -> None:
    tracer.lost_acknowledgements = 1
    measurements.add([request(1)])

    assert not await measurements.flush()
    measurements.add([request(2)])
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
async def test_what_is_remarkable_is_told_as_it_is(
    measurements: Measurements, tracer: FakeTracer, remarkable: DecisionRecord
) -> None:
    measurements.add([*requests(9), remarkable])

    await measurements.flush()

    assert tracer.told == ["req_0009"]
    assert "req_0009" in tracer.bundled


async def test_while_the_tracer_is_away_the_last_records_are_kept_and_all_are_counted(
    measurements: Measurements, tracer: FakeTracer
) -> None:
    for record in requests(BUNDLES_KEPT + 2):
        measurements.add([record])

    assert await measurements.flush()

    assert tracer.counted == BUNDLES_KEPT + 2
    assert tracer.bundled == [record.request_id for record in requests(BUNDLES_KEPT + 2)[2:]]
    assert sum(batch.dropped for batch in tracer.batches) == 2
    assert max(len(batch.bundles) for batch in tracer.batches) == BUNDLES_AT_ONCE


async def test_a_sample_is_bundled_and_all_are_counted(tracer: FakeTracer) -> None:
    measurements = Measurements(tracer.record, sample_01=0.25)
    measurements.add((request(0x3FFF), request(0x4000), request(0xFFFF, "timeout")))

    await measurements.flush()

    assert (tracer.bundled, tracer.counted) == (["req_3fff", "req_ffff"], 3)


async def test_where_every_record_counts_every_record_is_told(tracer: FakeTracer) -> None:
    measurements = Measurements(tracer.record, sample_01=0.0, every_record=True)
    measurements.add(requests(3 * REMARKABLE_AT_ONCE))

    await measurements.flush()

    assert len(set(tracer.told)) == 3 * REMARKABLE_AT_ONCE
    assert max(len(batch.records) for batch in tracer.batches) == REMARKABLE_AT_ONCE


async def test_sums_tell_calls_waits_and_our_own_part_apart(measurements: Measurements, tracer: FakeTracer) -> None:
    waited = Attempt("b", "ok", 10.0, queued_ms=4.0)
    tried = replace(request(1), attempts=[waited, Attempt("b", "timeout", 10.0)])
    measurements.add([tried, request(2, "timeout")])

    await measurements.flush()

    tallies = tracer.batches[0].tallies
    queue, calls = tallies[queue_key("b")], tallies[backend_key("b")]
    assert (queue.count, queue.latency.sum_ms) == (1, 4.0)
    assert (calls.count, calls.failed, calls.latency.count) == (2, 1, 1)
    assert (tallies[REQUEST].count, tallies[OVERHEAD].count) == (2, 1)


async def test_a_record_that_cannot_be_written_down_breaks_no_request(
    measurements: Measurements, tracer: FakeTracer
) -> None:
    before = error_aggregator.total
    measurements.add([replace(request(1), model="\ud800")])

    assert await measurements.flush()

    assert (tracer.counted, tracer.batches[0].dropped) == (1, 1)
    assert error_aggregator.total == before + 1


async def test_a_caller_who_leaves_during_a_flush_loses_nothing(tracer: FakeTracer) -> None:
    gate = asyncio.Event()

    async def slow(batch: Batch) -> None:
        await gate.wait()
        await tracer.record(batch)

    measurements = Measurements(slow)
    measurements.add([request(1)])
    flushing = asyncio.create_task(measurements.flush())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    flushing.cancel()
    gate.set()
    await measurements.flush()

    assert tracer.counted == 1


async def test_slow_requests_are_told_once_it_is_known_what_is_usual(
    measurements: Measurements, tracer: FakeTracer
) -> None:
    measurements.add([request(number, latency_ms=100.0) for number in range(1_000)])
    await measurements.flush()
    measurements.add([request(7_000 + number, latency_ms=300.0 - number) for number in range(30)])
    measurements.add([request(9_000, latency_ms=90.0)])
    await measurements.flush()

    assert tracer.told[-30:] == [f"req_{7_000 + number:04x}" for number in range(30)]
    assert 100.0 < tracer.batches[-1].slow_above_ms < 105.0


async def test_strangers_are_counted_and_not_bundled(measurements: Measurements, tracer: FakeTracer) -> None:
    measurements.add([request(1), request(2, "invalid_api_key")])
    await measurements.flush()

    assert (tracer.counted, tracer.bundled) == (2, ["req_0001"])
