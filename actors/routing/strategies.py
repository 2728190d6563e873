"""In which order should the members of a model be tried?

Each strategy is a function of the routing table and of what this replica knows, and returns the members that may be
asked, best first. Members whose circuit breaker is open are left out, unless nothing else remains. What depends on the
table alone is worked out once per table.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from actors.protocol.errors import LLMRouterError
from actors.protocol.ratings import Rating, rating_for
from actors.protocol.tasks import ANY_TASK, UNKNOWN_TASK
from actors.routing.sampling import odds
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable
from actors.routing.worth import price, worths_01

QUALITY_MARGIN_01: Final = 0.05
"""How much worse than the best rated member a cheap or fast one may be known to be, and still come first."""
BOLDNESS: Final = 0.2
"""For which share of its uncertainty a rating is explored, when there are enough judgements; before, all of it."""
ENOUGH_OF_ONE: Final = 10.0
ENOUGH_OF_ALL: Final = 250.0
"""Judgements on the member, and on all members together, old ones counting less."""


@dataclass(slots=True)
class LocalView:
    """What one replica knows beyond the table: its random source, whose turn it is, and its own calls under way.

    `resting`: backends that asked to be left alone -> until when, on the monotonic clock in seconds.
    `task_type` and `features`: those of the request which is about to be put in order; `predicted`: which quality a
    learned order expected of whom, by its features.
    `propensity_01`: with which probability a learned order began as the last one did; `explored`: whether it began with
    another member than the best rated.
    """

    rng: random.Random
    turns: dict[str, int] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    task_type: str = UNKNOWN_TASK
    features: str = ""
    predicted: Sequence[tuple[str, float, float]] = ()
    propensity_01: float = 1.0
    explored: bool = False

    def next_turn(self, model: str) -> int:
        turn = self.turns.get(model, 0)
        self.turns[model] = turn + 1
        return turn


Strategy = Callable[[ModelRecord, RoutingTable, LocalView], list[str]]
Ranking = Callable[[Sequence[str], RoutingTable], Sequence[str]]


def order(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """The members of a model that may be asked, best first. Raises `LLMRouterError` if no strategy fits its name."""
    try:
        strategy = STRATEGIES[model.strategy]
    except KeyError:
        raise LLMRouterError(f"The strategy '{model.strategy}' of model '{model.name}' is not known.") from None
    return strategy(model, table, view)


def callable_now(name: str, table: RoutingTable) -> bool:
    """Whether at least one backend behind this name may be called: its breaker is not open, its lease not revoked."""
    backend = table.backends.get(name)
    if backend is not None:
        return backend.is_open_to_calls
    return any(table.backends[leaf].is_open_to_calls for leaf in table.leaves(name))


def rested_first(members: Sequence[str], table: RoutingTable, view: LocalView, now_s: float) -> Sequence[str]:
    """The members in their order, but those behind which every backend still rests last, the soonest back first."""
    for name in [name for name, until_s in view.resting.items() if until_s <= now_s]:
        del view.resting[name]
    if not view.resting:
        return members
    until_s = view.resting.get
    return sorted(members, key=lambda name: min(until_s(leaf, 0.0) for leaf in table.leaves(name)))


def best_backend(name: str, table: RoutingTable, view: LocalView) -> str:
    """The backend that a request for this name would be sent to first. Raises `UnknownModel`."""
    target = table.resolve(name)
    while isinstance(target, ModelRecord):
        if target.is_ensemble:
            return max(table.leaves(target.name), key=lambda leaf: table.backends[leaf].weight)
        target = table.resolve(order(target, table, view)[0])
    return target.name


def in_given_order(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    return list(_candidates(model, table))


def by_weight(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """A random order in which each place is drawn with probability proportional to the members' weights.

    Source: Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir" (keys u^(1/w)).
    """
    draw = view.rng.random
    weights = [(_weight(name, table), name) for name in _candidates(model, table)]
    keys = {name: draw() ** (1.0 / weight) if weight > 0 else -1.0 for weight, name in weights}
    return sorted(keys, key=keys.__getitem__, reverse=True)


def in_turn(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    members = _candidates(model, table)
    start = view.next_turn(model.name) % len(members)
    return [*members[start:], *members[:start]]


def least_busy(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Fewest of this replica's calls under way first; ties in the given order."""
    calls, backends = view.in_flight.get, table.backends

    def calls_under_way(name: str) -> int:
        return calls(name, 0) if name in backends else min(calls(leaf, 0) for leaf in table.leaves(name))

    return sorted(_candidates(model, table), key=calls_under_way)


def fastest(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Lowest measured median latency first, what was never measured before it, so that it gets measured; members known
    to answer clearly worse than the best come last."""
    return list(_once_per_table("fastest", model, table, _by_latency))


def cheapest(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """Lowest list price first (input and output tokens alike); hosted models are free, unknown prices come after all
    others; members known to answer clearly worse than the best come last."""
    return list(_once_per_table("cheapest", model, table, _by_price))


def learned(model: ModelRecord, table: RoutingTable, view: LocalView) -> list[str]:
    """The one worth most for this question first, or now and then another, so that more is learned; then by worth.

    What a member is worth is the quality that is predicted of its answer, where that is known better than by its
    rating, or that weighed against price and speed as the model's preference has it. Another is asked as often as it
    may be the one worth most.
    """
    members = _candidates(model, table)
    quality_01, deviation_01 = zip(*_expected(members, table, view), strict=True)
    worth_01 = worths_01(members, quality_01, model.prefer, table)
    uncertain_01 = [model.prefer.quality_share_01 * one for one in deviation_01]
    best, chances = odds(tuple(worth_01), tuple(uncertain_01), model.explore_share_01)
    chosen = view.rng.choices(range(len(members)), chances)[0]
    view.propensity_01 = chances[chosen]
    view.explored = chosen != best
    by_worth = sorted(range(len(members)), key=lambda place: (place != chosen, -worth_01[place]))
    return [members[place] for place in by_worth]


def _expected(members: Sequence[str], table: RoutingTable, view: LocalView) -> Sequence[tuple[float, float]]:
    """Of each member, the quality of its answer, and the standard deviation within which that is explored."""
    judged = [_rating(name, table, ANY_TASK).judgements for name in members]
    is_young = sum(judged) < ENOUGH_OF_ALL
    found = []
    for name, judgements in zip(members, judged, strict=True):
        rating = _rating(name, table, view.task_type)
        boldness = 1.0 if is_young or judgements < ENOUGH_OF_ONE else BOLDNESS
        found.append((rating.quality_01, boldness * rating.reach_01 / 1.96))
    view.predicted = ()
    if table.predictions is None or not view.features:
        return found
    predicted = table.predictions.expected(view.features, view.task_type)
    view.predicted = [(name, *predicted[name]) for name in members if name in predicted]
    for place, name in enumerate(members):
        if name in predicted:
            quality_01, reach_01 = predicted[name]
            found[place] = quality_01, table.predictions.boldness * reach_01 / 1.96
    return found


STRATEGIES: Mapping[str, Strategy] = {
    "failover": in_given_order,
    "weighted": by_weight,
    "round_robin": in_turn,
    "least_busy": least_busy,
    "fastest": fastest,
    "cheapest": cheapest,
    "learned": learned,
}


def _candidates(model: ModelRecord, table: RoutingTable) -> Sequence[str]:
    """The members that may be asked, in the given order."""
    return _once_per_table("failover", model, table, _open_to_calls)


def _once_per_table(strategy: str, model: ModelRecord, table: RoutingTable, rank: Ranking) -> Sequence[str]:
    """The members in a ranking that depends on the table alone; remembered unless a caller chose the members."""
    if not table.has_own_members(model):
        return rank(model.members, table)
    known = table.derived.ranked.get((strategy, model.name))
    if known is None:
        known = table.derived.ranked[strategy, model.name] = tuple(rank(model.members, table))
    return known


def _open_to_calls(members: Sequence[str], table: RoutingTable) -> Sequence[str]:
    return [member for member in members if callable_now(member, table)] or members


def _by_latency(members: Sequence[str], table: RoutingTable) -> Sequence[str]:
    return _lowest_first(members, table, lambda leaf: leaf.measured.p50_ms or 0.0)


def _by_price(members: Sequence[str], table: RoutingTable) -> Sequence[str]:
    return _lowest_first(members, table, price)


def _lowest_first(
    members: Sequence[str], table: RoutingTable, score: Callable[[BackendRecord], float]
) -> Sequence[str]:
    def lowest(name: str) -> float:
        backend = table.backends.get(name)
        return score(backend) if backend else min(score(table.backends[leaf]) for leaf in table.leaves(name))

    allowed = _open_to_calls(members, table)
    worse = _clearly_worse(allowed, table) if table.ratings else frozenset()
    return sorted(allowed, key=lambda name: (name in worse, lowest(name)))


def _clearly_worse(members: Sequence[str], table: RoutingTable) -> frozenset[str]:
    """Members rated below the best by more than the margin, where their 95 % intervals are apart as well."""
    ratings = {name: _rating(name, table, ANY_TASK) for name in members}
    best = max(ratings.values(), key=lambda one: one.quality_01 - one.reach_01)
    low_01 = best.quality_01 - best.reach_01
    return frozenset(
        name
        for name, one in ratings.items()
        if one.quality_01 + one.reach_01 < low_01 and one.quality_01 < best.quality_01 - QUALITY_MARGIN_01
    )


def _rating(name: str, table: RoutingTable, task_type: str) -> Rating:
    """A backend's own rating, or an ensemble's; of a model of which nothing is known, that of the best behind it."""
    if name in table.backends or name in table.ratings.get(ANY_TASK, ()):
        return rating_for(task_type, name, table.ratings)
    ratings = (rating_for(task_type, leaf, table.ratings) for leaf in table.leaves(name))
    return max(ratings, key=lambda one: one.quality_01)


def _weight(name: str, table: RoutingTable) -> float:
    backend = table.backends.get(name)
    return backend.weight if backend else max(table.backends[leaf].weight for leaf in table.leaves(name))
