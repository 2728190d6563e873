"""Are weights a fair share of one?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.optimizing.weights import EqualWeights, equal_weights


@given(st.lists(st.text(max_size=3), min_size=1, max_size=50))
def test_weights_sum_to_one_and_are_all_the_same(backends: list[str]) -> None:
    weights = equal_weights(backends)

    assert sum(weights.values()) == pytest.approx(1.0)
    assert len(set(weights.values())) == 1


def test_each_backend_counts_once_and_keeps_its_place() -> None:
    assert list(equal_weights(["b", "a", "b"]).items()) == [("b", 0.5), ("a", 0.5)]


def test_nobody_to_trust_is_no_error() -> None:
    assert equal_weights([]) == {}


def test_equal_weights_do_not_ask_for_the_task() -> None:
    policy = EqualWeights()

    assert policy.weights_for("math", ["a", "b"]) == policy.weights_for("unknown", ["a", "b"]) == {"a": 0.5, "b": 0.5}
