from actors.protocol.outlook import Prospect
from actors.routing.outlook import outlook_of
from actors.routing.table import BackendRecord, Lease, Measured, ModelRecord, Price, RoutingTable

TABLE = RoutingTable(
    7,
    {
        "net": BackendRecord(
            "net", "openai", "gpt", hosted=False, weight=2.0, breaker="half_open", price=Price(1.0, 3.0),
            measured=Measured(4, 0.1, 50.0, 90.0),
        ),
        "gone": BackendRecord("gone", "openai", "gpt", hosted=False, lease=Lease(None, is_revoked=True)),
        "local": BackendRecord("local", "llama_cpp", "smol", hosted=True),
    },
    {"team": ModelRecord("team", "failover", ["net", "inner"]), "inner": ModelRecord("inner", "fastest", ["local"])},
    weights={"unknown": {"net": 0.5}},
)  # fmt: skip


def test_each_backend_shows_its_price_measurements_state_and_weight() -> None:
    prospects = outlook_of(TABLE).prospects

    assert prospects["net"] == Prospect("half_open", 1.0, 0.1, (1.0, 3.0), 50.0, 90.0)
    assert prospects["gone"] == Prospect("revoked", 1.0, 0.0)
    assert prospects["local"].cost_usd(100, 100) == 0.0  # its weights are here


def test_a_model_shows_the_backends_behind_it() -> None:
    assert outlook_of(TABLE).leaves == {"team": ("net", "local"), "inner": ("local",)}


def test_nothing_is_expected_of_a_price_that_nobody_knows() -> None:
    assert outlook_of(TABLE).prospects["gone"].cost_usd(100, 100) is None


def test_a_table_names_those_whose_breaker_is_not_closed() -> None:
    assert TABLE.unclosed == (("net", "half_open"),)
