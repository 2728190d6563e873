from dataclasses import replace

import pytest

from actors.protocol.preference import FOR_QUALITY, Preference
from actors.routing.table import BackendRecord, Measured, ModelRecord, Price, RoutingTable
from actors.routing.worth import worths_01


def backend(name: str, price: float | None = None, p50_ms: float | None = None, hosted: bool = False) -> BackendRecord:
    record = BackendRecord(name, "openai", name, hosted=hosted)
    return replace(record, price=None if price is None else Price(price, price), measured=Measured(p50_ms=p50_ms))


def table(*backends: BackendRecord, **models: ModelRecord) -> RoutingTable:
    return RoutingTable(1, {one.name: one for one in backends}, models)


def test_for_quality_alone_members_are_worth_their_quality() -> None:
    known = table(backend("a", price=9.0), backend("b", price=1.0))

    assert worths_01(["a", "b"], [0.8, 0.7], FOR_QUALITY, known) == [0.8, 0.7]


def test_price_and_speed_count_as_shares_of_the_highest() -> None:
    known = table(backend("a", price=10.0, p50_ms=400.0), backend("b", price=2.0, p50_ms=800.0))

    # (0.8 + (1 - 1) + (1 - 0.5)) / 3 and (0.5 + (1 - 0.2) + (1 - 1)) / 3
    assert worths_01(["a", "b"], [0.8, 0.5], Preference(1, 1, 1), known) == pytest.approx([1.3 / 3, 1.3 / 3])


def test_hosted_members_are_free_and_unknown_prices_count_as_the_highest() -> None:
    known = table(backend("a"), backend("b", hosted=True), backend("c", price=1.0))

    assert worths_01(["a", "b", "c"], [0.5] * 3, Preference(cost=1), known) == [0.0, 1.0, 0.0]


def test_what_was_never_measured_counts_as_fast() -> None:
    known = table(backend("a"), backend("b", p50_ms=10.0))

    assert worths_01(["a", "b"], [0.5] * 2, Preference(latency=1), known) == [1.0, 0.0]


def test_an_ensemble_costs_what_its_members_cost_together_and_a_failover_what_its_best_does() -> None:
    both = ModelRecord("both", "ensemble", ("a", "b"))
    known = table(
        backend("a", price=1.0),
        backend("b", price=3.0),
        both=both,
        safe=replace(both, name="safe", strategy="failover"),
    )

    # Together 8, the cheaper one 2, for input and output tokens.
    assert worths_01(["both", "safe"], [0.5] * 2, Preference(cost=1), known) == [0.0, 0.75]
