"""Strategies: the order in which members are tried."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from actors.protocol.errors import LLMRouterError
from actors.protocol.predictions import Expected
from actors.protocol.preference import FOR_QUALITY, PREFERENCES
from actors.protocol.ratings import Rating
from actors.routing.strategies import STRATEGIES, LocalView, best_backend, order, rested_first
from actors.routing.table import BackendRecord, BreakerState, Measured, ModelRecord, Price, RoutingTable


def table(strategy: str = "failover", **backends: BackendRecord) -> RoutingTable:
    return RoutingTable(1, backends, {"m": ModelRecord("m", strategy, list(backends))})


def backend(
    name: str,
    *,
    breaker: BreakerState = "closed",
    weight: float = 1.0,
    price: float | None = None,
    p50_ms: float | None = None,
) -> BackendRecord:
    record = BackendRecord(name, "openai", name, hosted=False, breaker=breaker, weight=weight)
    return replace(record, price=None if price is None else Price(price, price), measured=Measured(p50_ms=p50_ms))


def view(**in_flight: int) -> LocalView:
    return LocalView(random.Random(1), in_flight=in_flight)


def ordered(in_table: RoutingTable, with_view: LocalView | None = None) -> list[str]:
    return order(in_table.models["m"], in_table, with_view or view())


def test_failover_keeps_the_given_order() -> None:
    assert ordered(table(a=backend("a"), b=backend("b"))) == ["a", "b"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_member_with_an_open_breaker_is_left_out(strategy: str) -> None:
    assert ordered(table(strategy, a=backend("a", breaker="open"), b=backend("b"))) == ["b"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_all_breakers_open_all_are_tried(strategy: str) -> None:
    both = table(strategy, a=backend("a", breaker="open"), b=backend("b", breaker="open"))

    assert sorted(ordered(both)) == ["a", "b"]


def test_round_robin_starts_one_further_each_time() -> None:
    turning = table("round_robin", a=backend("a"), b=backend("b"), c=backend("c"))
    same_view = view()

    assert [ordered(turning, same_view) for _ in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_weighted_puts_first_in_proportion_to_weight() -> None:
    weighted = table("weighted", a=backend("a", weight=3), b=backend("b", weight=1), c=backend("c", weight=0))
    same_view = view()

    first = Counter(ordered(weighted, same_view)[0] for _ in range(4000))

    assert 0.72 < first["a"] / 4000 < 0.78
    assert first["c"] == 0


def test_least_busy_counts_calls_under_way() -> None:
    assert ordered(table("least_busy", a=backend("a"), b=backend("b")), view(a=2, b=1)) == ["b", "a"]


def test_fastest_tries_the_unmeasured_first() -> None:
    measured = table("fastest", a=backend("a", p50_ms=9), b=backend("b", p50_ms=3), c=backend("c"))

    assert ordered(measured) == ["c", "b", "a"]


def test_cheapest_puts_unknown_prices_last() -> None:
    priced = table("cheapest", a=backend("a"), b=backend("b", price=3), c=backend("c", price=1))

    assert ordered(priced) == ["c", "b", "a"]


@pytest.mark.parametrize("strategy", ["cheapest", "fastest"])
def test_a_member_known_to_answer_clearly_worse_comes_last(strategy: str) -> None:
    bad, good = backend("bad", price=1, p50_ms=1), backend("good", price=3, p50_ms=3)
    rated = {"any": {"bad": Rating(0.5, 100.0), "good": Rating(0.8, 100.0)}}  # 0.40 .. 0.60 and 0.72 .. 0.88

    assert ordered(replace(table(strategy, bad=bad, good=good), ratings=rated)) == ["good", "bad"]


@pytest.mark.parametrize(
    "rated",
    [
        pytest.param({"bad": Rating(0.5, 5.0), "good": Rating(0.8, 5.0)}, id="little is known"),
        pytest.param({"good": Rating(0.9, 1000.0)}, id="nothing is known of one"),
        pytest.param({"bad": Rating(0.76, 90_000.0), "good": Rating(0.8, 90_000.0)}, id="within the margin"),
    ],
)
def test_the_cheapest_comes_first_unless_it_is_known_to_be_clearly_worse(rated: dict[str, Rating]) -> None:
    priced = table("cheapest", bad=backend("bad", price=1), good=backend("good", price=3))

    assert ordered(replace(priced, ratings={"any": rated})) == ["bad", "good"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_caller_s_choice_of_members_is_neither_widened_nor_remembered(strategy: str) -> None:
    three = table(strategy, a=backend("a"), b=backend("b"), c=backend("c"))
    chosen = replace(three.models["m"], members=["c", "b"])

    assert set(order(chosen, three, view())) == {"b", "c"}
    assert set(ordered(three)) == {"a", "b", "c"}
    assert set(order(chosen, three, view())) == {"b", "c"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_gets_an_order_may_change_it(strategy: str) -> None:
    three = table(strategy, a=backend("a"), b=backend("b"), c=backend("c"))

    ordered(three).clear()

    assert len(ordered(three)) == 3


def test_a_new_table_s_measurements_count_at_once() -> None:
    old = table("fastest", a=backend("a", p50_ms=1), b=backend("b", p50_ms=2))
    assert ordered(old) == ["a", "b"]

    new = replace(old, backends={**old.backends, "a": backend("a", p50_ms=3)})

    assert ordered(new) == ["b", "a"]


def test_an_unknown_strategy_is_an_error_that_names_it() -> None:
    with pytest.raises(LLMRouterError, match="'luck'"):
        ordered(table("luck", a=backend("a")))


def test_the_best_backend_of_a_nested_model_is_its_first_callable_leaf() -> None:
    nested = RoutingTable(
        1,
        {"a": backend("a", breaker="open"), "b": backend("b")},
        {"in": ModelRecord("in", "failover", ["a", "b"]), "out": ModelRecord("out", "failover", ["in"])},
    )

    assert best_backend("out", nested, view()) == "b"


def test_the_best_backend_of_an_ensemble_is_its_heaviest() -> None:
    panel = table("ensemble", a=backend("a"), b=backend("b", weight=2))

    assert best_backend("m", panel, view()) == "b"


def test_members_that_rest_come_last_and_the_soonest_back_first() -> None:
    three = table(a=backend("a"), b=backend("b"), c=backend("c"))
    resting = LocalView(random.Random(1), resting={"a": 20.0, "b": 10.0})

    assert list(rested_first(["a", "b", "c"], three, resting, now_s=5.0)) == ["c", "b", "a"]
    assert list(rested_first(["a", "b", "c"], three, resting, now_s=10.0)) == ["b", "c", "a"]
    assert list(rested_first(["a", "b", "c"], three, resting, now_s=20.0)) == ["a", "b", "c"]
    assert resting.resting == {}


def rated(explore_share_01: float, **quality_01: float) -> RoutingTable:
    known = table("learned", **{name: backend(name) for name in quality_01})
    model = replace(known.models["m"], explore_share_01=explore_share_01)
    ratings = {name: Rating(quality, 100.0) for name, quality in quality_01.items()}
    return replace(known, models={"m": model}, ratings={"any": ratings})


def test_learned_without_exploration_goes_by_rating() -> None:
    with_view = view()

    assert ordered(rated(0.0, a=0.3, b=0.9, c=0.6), with_view) == ["b", "c", "a"]
    assert with_view.propensity_01 == 1.0


def test_learned_prefers_what_its_model_or_a_request_prefers() -> None:
    known = table("learned", dear=backend("dear", price=10.0), cheap=backend("cheap", price=1.0))
    model = replace(known.models["m"], explore_share_01=0.0, prefer=PREFERENCES["cheap"])
    ratings = {"dear": Rating(0.8, 100.0), "cheap": Rating(0.7, 100.0)}
    known = replace(known, models={"m": model}, ratings={"any": ratings})

    # 0.8 * 0.8 + 0.2 * 0 = 0.64 against 0.8 * 0.7 + 0.2 * 0.9 = 0.74
    assert ordered(known) == ["cheap", "dear"]
    assert order(replace(model, prefer=FOR_QUALITY), known, view()) == ["dear", "cheap"]


def test_learned_weighs_an_ensemble_by_its_own_rating_against_a_single_backend() -> None:
    both = ModelRecord("both", "ensemble", ("a", "b"))
    known = rated(0.0, a=0.7, b=0.6)
    model = replace(known.models["m"], members=("a", "both"))
    known = replace(known, models={"m": model, "both": both})

    def with_ensemble(quality_01: float) -> RoutingTable:
        return replace(known, ratings={"any": {**known.ratings["any"], "both": Rating(quality_01, 50.0)}})

    assert ordered(with_ensemble(0.9)) == ["both", "a"]
    assert ordered(with_ensemble(0.5)) == ["a", "both"]


def test_learned_keeps_the_given_order_among_those_that_nobody_judged() -> None:
    both = table("learned", a=backend("a"), b=backend("b"))
    unexplored = replace(both.models["m"], explore_share_01=0.0)

    assert ordered(replace(both, models={"m": unexplored})) == ["a", "b"]


def test_learned_tries_others_as_often_as_it_says() -> None:
    with_view, known = view(), rated(0.2, a=0.5, b=0.5)  # alike: half of all, but for the limit

    firsts = Counter(
        (ordered(known, with_view)[0], round(with_view.propensity_01, 3), with_view.explored) for _ in range(1000)
    )

    assert set(firsts) == {("a", 0.8, False), ("b", 0.2, True)}
    assert 150 < firsts["b", 0.2, True] < 250  # four standard deviations


def test_learned_goes_by_what_is_known_of_the_request_s_type_of_task() -> None:
    known = rated(0.0, a=0.8, b=0.5)
    ratings = {**known.ratings, "math": {"b": Rating(0.9, 40.0), "a": Rating(0.3, 40.0)}}
    known = replace(known, ratings=ratings)
    with_view = view()

    with_view.task_type = "math"
    assert ordered(known, with_view) == ["b", "a"]
    with_view.task_type = "chat"
    assert ordered(known, with_view) == ["a", "b"]


@dataclass
class Foreseen:
    """Expects that `b` answers best whatever is asked, and knows nothing of others but `a`."""

    version: int = 1
    boldness: float = 1.0

    def expected(self, features: str, task_type: str) -> Mapping[str, Expected]:
        return {"a": Expected(0.2, 0.1), "b": Expected(0.9, 0.1)}


def test_learned_goes_by_what_is_predicted_of_the_question() -> None:
    known = replace(rated(0.0, a=0.8, b=0.5, c=0.6), predictions=Foreseen())
    with_view = view()

    with_view.features = "of a question"
    assert ordered(known, with_view) == ["b", "c", "a"]
    assert with_view.predicted == [("a", 0.2, 0.1), ("b", 0.9, 0.1)]


def test_learned_tries_oftener_what_is_less_known_and_never_what_is_surely_worse() -> None:
    known, with_view = rated(0.5, a=0.8, b=0.6, c=0.6), view()
    ratings = {"a": Rating(0.8, 400.0), "b": Rating(0.6, 400.0), "c": Rating(0.6, 3.0)}
    known = replace(known, ratings={"any": ratings})

    firsts = Counter((ordered(known, with_view)[0], round(with_view.propensity_01, 2)) for _ in range(2000))

    # c's standard deviation is (0.24 / 6) ** 0.5 = 0.2, and 0.2 is missing: 15.9 %.
    assert set(firsts) == {("a", 0.84), ("c", 0.16)}
    assert 250 < firsts["c", 0.16] < 390  # four standard deviations


@pytest.mark.parametrize(("of_a", "of_c", "is_explored"), [(400, 9, True), (400, 12, False), (200, 12, True)])
def test_a_rating_is_explored_less_when_all_and_its_member_were_judged_often_enough(
    of_a: float, of_c: float, is_explored: bool
) -> None:
    known, with_view = rated(0.5, a=0.8, c=0.5), view()
    known = replace(known, ratings={"any": {"a": Rating(0.8, of_a), "c": Rating(0.5, of_c)}})

    propensities = [(ordered(known, with_view), with_view.propensity_01)[1] for _ in range(300)]

    # c's standard deviation is at least (0.25 / 15) ** 0.5 = 0.129, and 0.3 is missing: 1 %; of a fifth of it, nothing.
    assert (max(propensities) < 0.999) is is_explored


def test_learned_explores_as_much_of_the_uncertainty_of_predictions_as_they_say() -> None:
    known = replace(rated(1.0, a=0.8, b=0.5), predictions=Foreseen(boldness=5.0))
    with_view = view()
    with_view.features = "of a question"

    chances = {ordered(known, with_view)[0]: with_view.propensity_01 for _ in range(200)}

    # Each deviation is 5 * 0.1 / 1.96 = 0.255, that of the difference 0.361; 0.7 are 1.94 of those: 2.6 %.
    assert chances["a"] == pytest.approx(0.026, abs=0.003)


def test_without_features_ratings_decide() -> None:
    known = replace(rated(0.0, a=0.8, b=0.5, c=0.6), predictions=Foreseen())
    with_view = view()
    with_view.predicted = [("old", 0.5, 0.5)]

    assert ordered(known, with_view) == ["a", "c", "b"]
    assert not with_view.predicted
