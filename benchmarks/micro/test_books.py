"""What does it cost to remember a request: in the replica, on its way, in the tracer and in the journal?

Of batches, the time is that of 256 requests: divide by 256 for one.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.edge.ledger import BATCH, Ledger
from actors.optimizing.journal import Journal
from actors.protocol.columns import Columns, Written, read, written
from actors.protocol.messages import DecisionRecord
from actors.tracer import Tracer
from actors.tracing.sums import Batch, Sums
from benchmarks.micro.driving import finished, measured_anew, record
from tests.support.batches import batch_of


class NobodyReads:
    async def record_decisions(self, records: Written) -> None: ...
    async def trace(self, batch: Batch) -> None: ...


@pytest.fixture
def batches() -> Iterator[list[DecisionRecord]]:
    """Batches of requests that have not been seen before, without end."""
    numbers = itertools.count()
    return iter(lambda: [record(next(numbers)) for _ in range(BATCH)], None)


def test_writing_into_the_ledger(benchmark: BenchmarkFixture) -> None:
    ledger, one = Ledger(NobodyReads()), record(1)

    assert benchmark(ledger.write, one) is None


def test_adding_a_batch_up(benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]]) -> None:
    sums = Sums()

    measured_anew(benchmark, sums.add, lambda: (Columns.of(next(batches)),), rounds=60)

    assert sums


def test_writing_a_batch(benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]]) -> None:
    batch = next(batches)

    assert read(benchmark(written, batch)) == batch


def test_reading_a_batch(benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]]) -> None:
    batch = next(batches)

    assert benchmark(read, written(batch)) == batch


def test_tracing_a_batch(benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]]) -> None:
    tracer = Tracer(end_self=lambda: None)

    def trace(batch: Batch) -> None:
        finished(tracer.record(batch))

    measured_anew(benchmark, trace, lambda: (batch_of(next(batches)),), rounds=60)

    assert finished(tracer.measured())["instant"].error_rate_01 == 0.0


def test_committing_a_batch(
    benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "state.db")

    measured_anew(benchmark, journal.commit, lambda: (next(batches), ()), rounds=60)

    assert sum(total.ok for total in journal.totals()) % BATCH == 0
    assert journal.totals()
    journal.close()


def test_committing_a_single_outcome(
    benchmark: BenchmarkFixture, batches: Iterator[list[DecisionRecord]], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "state.db")

    measured_anew(benchmark, journal.commit, lambda: (next(batches)[:1], ()), rounds=60)

    assert sum(total.ok for total in journal.totals()) > 0
    journal.close()
