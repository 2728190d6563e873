"""In which order should the members of a model be tried?

Each strategy is a function of the routing table and of what this replica knows, and returns the members that may be
asked, best first. Members whose circuit breaker is open are left out, unless nothing else remains.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from actors.protocol.errors import LLMRouterError
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable


@dataclass(slots=True)
class LocalView:
    """What one replica knows beyond the table: its random source, whose turn it is, and its own calls under way."""

    rng: random.Random
    turns: dict[str, int] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)

    def next_turn(self, model: str) -> int:
        turn = self.turns.get(model, 0)
        self.turns[model] = turn + 1
        return turn


Strategy = Callable[[ModelRecord, RoutingTable, LocalView], list[str]]


def order(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """The members of a model that may be asked, best first. Raises `LLMRouterError` if no strategy fits its name."""
    try:
        strategy = STRATEGIES[model.strategy]
    except KeyError:
        raise LLMRouterError(f"The strategy '{model.strategy}' of model '{model.name}' is not known.") from None
    ranked = strategy(model, table, view)
    open_to_calls = [member for member in ranked if callable_now(member, table)]
    return open_to_calls or ranked


def callable_now(name: str, table: RoutingTable) -> bool:
    """Whether at least one backend behind this name has a breaker that is not open."""
    return any(table.backends[leaf].breaker != "open" for leaf in table.leaves(name))


def best_backend(name: str, table: RoutingTable, view: LocalView) -> str:
    """The backend that a request for this name would be sent to first. Raises `UnknownModel`."""
    target = table.resolve(name)
    while isinstance(target, ModelRecord):
        if target.is_ensemble:
            return max(table.leaves(target.name), key=lambda leaf: table.backends[leaf].weight)
        target = table.resolve(order(target, table, view)[0])
    return target.name


def in_given_order(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    return list(model.members)


def by_weight(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """A random order in which each place is drawn with probability proportional to the members' weights.

    Source: Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir" (keys u^(1/w)).
    """
    keys = {name: _weighted_key(_weight(name, table), view.rng) for name in model.members}
    return sorted(model.members, key=lambda name: -keys[name])


def in_turn(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    members = [member for member in model.members if callable_now(member, table)] or list(model.members)
    start = view.next_turn(model.name) % len(members)
    return members[start:] + members[:start]


def least_busy(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Fewest of this replica's calls under way first; ties in the given order."""
    return sorted(model.members, key=lambda name: _lowest(name, table, lambda leaf: view.in_flight.get(leaf.name, 0)))


def fastest(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Lowest measured median latency first; what was never measured comes first, so that it gets measured."""
    return sorted(model.members, key=lambda name: _lowest(name, table, lambda leaf: leaf.measured.p50_ms or 0.0))


def cheapest(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Lowest list price first (input and output tokens alike); hosted models are free, unknown prices come last."""
    return sorted(model.members, key=lambda name: _lowest(name, table, _price))


STRATEGIES: Mapping[str, Strategy] = {
    "failover": in_given_order,
    "weighted": by_weight,
    "round_robin": in_turn,
    "least_busy": least_busy,
    "fastest": fastest,
    "cheapest": cheapest,
}


def _weight(name: str, table: RoutingTable) -> float:
    return max(table.backends[leaf].weight for leaf in table.leaves(name))


def _weighted_key(weight: float, rng: random.Random) -> float:
    return rng.random() ** (1.0 / weight) if weight > 0 else -1.0


def _lowest(name: str, table: RoutingTable, score: Callable[[BackendRecord], float]) -> float:
    leaves: Sequence[str] = table.leaves(name)
    return min(score(table.backends[leaf]) for leaf in leaves)


def _price(backend: BackendRecord) -> float:
    if backend.price is None:
        return 0.0 if backend.hosted else float("inf")
    return backend.price.input_per_mtok + backend.price.output_per_mtok
