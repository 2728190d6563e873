"""The routing table: names, suggestions and what is behind a name."""

import pytest

from actors.protocol.errors import UnknownModel
from actors.routing.table import BackendRecord, ModelRecord, Price, RoutingTable


def backend(name: str) -> BackendRecord:
    return BackendRecord(name, "openai", name, hosted=False)


TABLE = RoutingTable(
    version=1,
    backends={name: backend(name) for name in ("qwen", "smol", "gpt")},
    models={
        "inner": ModelRecord("inner", "failover", ["qwen", "smol"]),
        "outer": ModelRecord("outer", "ensemble", ["inner", "gpt", "qwen"]),
    },
)


def test_a_name_is_a_model_or_a_backend() -> None:
    assert TABLE.resolve("outer").name == "outer"
    assert TABLE.resolve("gpt") is TABLE.backends["gpt"]


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownModel, match=r"The model 'qwne' does not exist. Did you mean 'qwen'\?") as caught:
        TABLE.resolve("qwne")

    assert (caught.value.status, caught.value.param) == (404, "model")


def test_with_nothing_near_all_names_are_listed_models_first() -> None:
    with pytest.raises(UnknownModel, match="Available: 'inner', 'outer', 'qwen', 'smol', 'gpt'"):
        TABLE.resolve("zzzzzz")


def test_leaves_are_the_backends_behind_a_name_each_once() -> None:
    assert TABLE.leaves("outer") == ["qwen", "smol", "gpt"]
    assert TABLE.leaves("smol") == ["smol"]


def test_a_price_is_per_million_tokens() -> None:
    assert Price(0.5, 2.0).cost_usd(1_000, 500) == pytest.approx(0.0015)
