"""How much is each member worth asking first, by its quality, its price and its speed?"""

from collections.abc import Callable, Sequence

from actors.protocol.preference import Preference
from actors.routing.table import BackendRecord, RoutingTable


def worths_01(
    members: Sequence[str], quality_01: Sequence[float], preference: Preference, table: RoutingTable
) -> Sequence[float]:
    """One per member, 0..1, higher is better: q * quality + c * (1 - price / highest price) + l * (1 - median latency /
    highest median latency), divided by q + c + l.

    Prices are list prices, input and output tokens alike; hosted models are free, an unknown price counts as the
    highest. What was never measured counts as fast, so that it gets measured. A member that is an ensemble has the sum
    of the prices behind it, and the latency of the slowest; any other model those of the best of its backends.
    """
    if preference.is_for_quality_alone:
        return quality_01
    costs_01 = _shares_of_highest([_of_member(name, table, price, sum) for name in members])
    latencies_01 = _shares_of_highest([_of_member(name, table, _latency_ms, max) for name in members])
    return [preference.worth_01(*one) for one in zip(quality_01, costs_01, latencies_01, strict=True)]


def price(backend: BackendRecord) -> float:
    """US dollars for a million tokens in and a million out; infinite where that is not known."""
    if backend.price is None:
        return 0.0 if backend.hosted else float("inf")
    return backend.price.input_per_mtok + backend.price.output_per_mtok


def _latency_ms(backend: BackendRecord) -> float:
    return backend.measured.p50_ms or 0.0


def _of_member(
    name: str,
    table: RoutingTable,
    measure: Callable[[BackendRecord], float],
    together: Callable[[Sequence[float]], float],
) -> float:
    if name in table.backends:
        return measure(table.backends[name])
    known = [measure(table.backends[leaf]) for leaf in table.leaves(name)]
    return together(known) if table.models[name].is_ensemble else min(known)


def _shares_of_highest(values: Sequence[float]) -> Sequence[float]:
    """Each as a share of the highest that is finite, 0..1; infinite ones are 1."""
    highest = max((value for value in values if value != float("inf")), default=0.0)
    return [1.0 if value == float("inf") else value / highest if highest else 0.0 for value in values]
