"""The ledger: what is kept until it is acknowledged, what is sent once, and what is counted as lost."""

from collections.abc import Sequence

import pytest

from actors.edge.ledger import KEPT_FOR_TRACER, Ledger
from actors.protocol.errors import OptimizerError, TracerError
from actors.protocol.messages import DecisionRecord


class FakeReaders:
    def __init__(self) -> None:
        self.away = False
        self.decisions: list[str] = []
        self.measurements: list[str] = []
        self.dropped = 0

    async def record_decisions(self, records: Sequence[DecisionRecord]) -> None:
        if self.away:
            raise OptimizerError("away")
        self.decisions += [record.request_id for record in records]

    async def trace(self, records: Sequence[DecisionRecord], dropped: int) -> None:
        if self.away:
            raise TracerError("away")
        self.measurements += [record.request_id for record in records]
        self.dropped += dropped


def record(request_id: str) -> DecisionRecord:
    return DecisionRecord(request_id, 0.0, "m", "single", "b", "ok", 200, 5.0, 1.0, False)


@pytest.fixture
def readers() -> FakeReaders:
    return FakeReaders()


async def test_both_readers_get_every_record_once(readers: FakeReaders) -> None:
    ledger = Ledger()
    ledger.write(record("1"))
    ledger.write(record("2"))

    await ledger.flush(readers)
    await ledger.flush(readers)

    assert readers.decisions == ["1", "2"]
    assert readers.measurements == ["1", "2"]


async def test_decisions_wait_for_the_optimizer_in_order(readers: FakeReaders) -> None:
    ledger = Ledger()
    readers.away = True
    ledger.write(record("1"))
    await ledger.flush(readers)
    ledger.write(record("2"))
    readers.away = False

    await ledger.flush(readers)

    assert readers.decisions == ["1", "2"]


async def test_measurements_that_found_no_tracer_are_counted_as_dropped(readers: FakeReaders) -> None:
    ledger = Ledger()
    readers.away = True
    ledger.write(record("1"))
    await ledger.flush(readers)
    readers.away = False

    await ledger.flush(readers)

    assert (readers.measurements, readers.dropped) == ([], 1)


async def test_a_full_queue_drops_the_oldest_measurement_and_counts_it(readers: FakeReaders) -> None:
    ledger = Ledger()
    for number in range(KEPT_FOR_TRACER + 3):
        ledger.write(record(str(number)))

    await ledger.flush(readers)

    assert readers.dropped == 3
    assert readers.measurements[0] == "3"
    assert len(readers.decisions) == KEPT_FOR_TRACER + 3
