"""What does it cost to decide who is asked? The aim: under 50 us, also with 100 members in a table of 1,000 rows."""

import pickle
import random
from dataclasses import replace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.routing.strategies import STRATEGIES, LocalView, order
from actors.routing.table import BackendRecord, Lease, Measured, ModelRecord, Price, RoutingTable
from benchmarks.micro.driving import measured_anew

ROWS = 1_000


def table(strategy: str, rows: int, members: int) -> RoutingTable:
    """So many backends and as many models, each of which has so many of the backends as members."""
    backends = {
        f"b{n}": BackendRecord(
            f"b{n}",
            "openai",
            "upstream-model",
            hosted=False,
            weight=1.0 + n % 3,
            price=Price(1.0 + n % 5, 2.0),
            measured=Measured(p50_ms=5.0 + n % 7, p95_ms=50.0),
            lease=Lease("http://127.0.0.1:9000/v1", "key"),
        )
        for n in range(rows)
    }
    models = {
        f"m{n}": ModelRecord(f"m{n}", strategy, [f"b{(n + k) % rows}" for k in range(members)]) for n in range(rows)
    }
    return RoutingTable(1, backends, models)


def view() -> LocalView:
    return LocalView(random.Random(1), in_flight={f"b{n}": n % 4 for n in range(ROWS)})


@pytest.mark.parametrize(("rows", "members"), [(3, 3), (100, 100), (ROWS, 100)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_deciding(benchmark: BenchmarkFixture, strategy: str, rows: int, members: int) -> None:
    known, here = table(strategy, rows, members), view()
    model = known.models["m0"]

    chosen = benchmark(order, model, known, here)

    assert sorted(chosen) == sorted(model.members)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_deciding_for_the_first_time_on_a_new_table(benchmark: BenchmarkFixture, strategy: str) -> None:
    known, here = table(strategy, ROWS, 100), view()
    model = known.models["m0"]

    chosen = measured_anew(benchmark, order, lambda: (model, replace(known), here), rounds=200)

    assert sorted(chosen) == sorted(model.members)


def test_resolving_a_name_among_many(benchmark: BenchmarkFixture) -> None:
    known = table("failover", ROWS, 3)

    assert benchmark(known.resolve, "m999") is known.models["m999"]


def test_suggesting_a_name_among_many(benchmark: BenchmarkFixture) -> None:
    known = table("failover", ROWS, 3)

    assert "'b123'" in benchmark(known.suggestion, "b123x")


def test_pickling_a_table_that_was_never_sent(benchmark: BenchmarkFixture) -> None:
    known = table("failover", ROWS, 3)

    sent = measured_anew(benchmark, pickle.dumps, lambda: (replace(known),), rounds=30)

    assert 100_000 < len(sent) < 300_000


def test_pickling_a_table_for_another_replica(benchmark: BenchmarkFixture) -> None:
    known = table("failover", ROWS, 3)
    once = pickle.dumps(known)

    assert benchmark(pickle.dumps, known) == once


def test_receiving_a_table(benchmark: BenchmarkFixture) -> None:
    known = table("failover", ROWS, 3)
    sent = pickle.dumps(known)

    assert benchmark(lambda: pickle.loads(sent).with_leases_of(known)) == known
