"""The routing table: names, suggestions and what is behind a name."""

import pickle
from dataclasses import replace

import pytest

from actors.protocol.errors import UnknownModel
from actors.routing.table import BackendRecord, Lease, ModelRecord, Price, RoutingTable


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
    assert TABLE.leaves("outer") == ("qwen", "smol", "gpt")
    assert TABLE.leaves("smol") == ("smol",)


def test_of_fewer_members_only_their_backends_are_leaves() -> None:
    outer = TABLE.models["outer"]

    assert TABLE.leaves_of(replace(outer, members=["gpt"])) == ("gpt",)
    assert TABLE.leaves_of(outer) == ("qwen", "smol", "gpt")
    assert TABLE.leaves_of(TABLE.backends["smol"]) == ("smol",)


def test_a_changed_table_forgets_what_followed_from_the_old_one() -> None:
    old = replace(TABLE, version=2)
    assert old.leaves("inner") == ("qwen", "smol")

    new = replace(old, models={"inner": ModelRecord("inner", "failover", ["gpt"])})

    assert new.leaves("inner") == ("gpt",)


def test_a_table_survives_pickling_and_is_pickled_once_however_often_it_is_sent() -> None:
    lease = Lease("http://upstream/v1", "key")
    table = replace(TABLE, version=3, backends={**TABLE.backends, "qwen": replace(backend("qwen"), lease=lease)})

    sent = [pickle.dumps(table) for _ in range(2)]

    assert pickle.loads(sent[0]) == table
    assert table.derived.pickled is not None
    assert table.derived.pickled in sent[0]
    assert sent[0] == sent[1]


def test_what_follows_from_a_table_does_not_travel_with_it() -> None:
    table = replace(TABLE, version=4)
    table.leaves("outer")

    received = pickle.loads(pickle.dumps(table))

    assert received.derived.leaves == {}


def test_a_price_is_per_million_tokens() -> None:
    assert Price(0.5, 2.0).cost_usd(1_000, 500) == pytest.approx(0.0015)
