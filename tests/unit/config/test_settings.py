import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actors.config.settings import Config, LlamaCppBackend, OpenAIBackend, ScriptedBackend
from actors.protocol.errors import ConfigError
from actors.protocol.preference import Preference
from actors.routing.table import BackendRecord, ModelRecord, Price, Supports

SCRIPTED = {"provider": "scripted"}


def config(**sections: Any) -> Config:
    return Config.model_validate({"backends": {"a": SCRIPTED, "b": SCRIPTED}, **sections})


def test_one_backend_is_a_whole_configuration() -> None:
    made = Config.model_validate({"backends": {"a": SCRIPTED}})

    server = made.server
    assert (server.host, server.port, server.replicas, server.max_body_mb) == ("127.0.0.1", 8000, 1, 32)
    assert server.api_keys == ()
    assert (made.ray.address, made.ray.namespace) == ("local", "troupe")
    assert (made.optimizer.enabled, made.optimizer.rewrite) == (True, "never")
    assert (made.tracing.enabled, made.tracing.sample_01, made.tracing.otlp_endpoint) == (True, 1.0, None)
    assert made.cache.enabled is False
    assert made.models == {}


def test_the_provider_decides_what_a_backend_is() -> None:
    made = Config.model_validate(
        {
            "backends": {
                "net": {"provider": "openai", "base_url": "http://127.0.0.1:9000/v1", "model": "m"},
                "weights": {"provider": "llama_cpp", "model": "catalogue:smollm2-135m"},
                "fake": {"provider": "scripted", "script": {"reply": "42"}},
            }
        }
    )

    assert isinstance(made.backends["net"], OpenAIBackend)
    assert isinstance(made.backends["weights"], LlamaCppBackend)
    assert isinstance(made.backends["fake"], ScriptedBackend)
    assert made.backends["fake"].script == {"reply": "42"}


def test_a_backend_has_the_defaults_of_its_record() -> None:
    record = config().backend_record("a")

    assert record == BackendRecord(name="a", provider="scripted", model="a", hosted=True)


def test_a_backend_record_holds_all_that_was_configured() -> None:
    backend = {
        "provider": "openai",
        "base_url": "https://example.test/v1",
        "api_key": "secret",
        "model": "big",
        "timeout_s": 30,
        "ttft_timeout_s": 5,
        "stall_timeout_s": 3,
        "max_retries": 0,
        "max_concurrency": 7,
        "weight": 2.5,
        "price": {"input_per_mtok": 0.15, "output_per_mtok": 0.6},
        "context_window": 128_000,
        "supports": {"tools": False, "vision": True},
    }

    record = Config.model_validate({"backends": {"net": backend}}).backend_record("net")

    assert record == BackendRecord(
        name="net",
        provider="openai",
        model="big",
        hosted=False,
        weight=2.5,
        timeout_s=30,
        ttft_timeout_s=5,
        stall_timeout_s=3,
        max_retries=0,
        max_concurrency=7,
        context_window=128_000,
        price=Price(0.15, 0.6),
        supports=Supports(tools=False, vision=True),
    )


def test_local_weights_have_the_context_of_one_slot() -> None:
    backend = {"provider": "llama_cpp", "model": "m.gguf", "context_size": 2048, "parallel": 4}

    assert Config.model_validate({"backends": {"a": backend}}).backend_record("a").context_window == 2048


def test_a_model_record_holds_all_that_was_configured() -> None:
    model = {
        "strategy": "ensemble",
        "members": ["a", "b"],
        "merge": "best_of_n",
        "judge": "b",
        "quorum": 1,
        "deadline_s": 5,
        "max_attempts": 2,
        "max_cost_usd": 0.05,
        "min_confidence_01": 0.4,
    }

    records = config(models={"both": model, "plain": {"members": ["a"]}}).model_records()

    assert records == {
        "both": ModelRecord("both", "ensemble", ("a", "b"), "best_of_n", "b", 1, 5.0, 2, 0.05, 0.4),
        "plain": ModelRecord("plain", "failover", ("a",)),
    }


def test_a_preference_is_given_by_name_or_by_numbers() -> None:
    models = {name: {"members": ["a"], "prefer": given} for name, given in (("m", "cheap"), ("n", {"latency": 2}))}

    records = config(models=models).model_records()

    assert [record.prefer for record in records.values()] == [Preference(0.8, 0.2, 0.0), Preference(latency=2.0)]


@pytest.mark.parametrize(
    ("prefer", "problem"),
    [("chap", "not a known preference"), ({"cost": 0}, "must weigh"), ({"cost": -1}, "greater than or equal to 0")],
)
def test_a_preference_that_weighs_nothing_is_refused(prefer: object, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        config(models={"m": {"members": ["a"], "prefer": prefer}})


def test_a_model_may_have_models_as_members() -> None:
    models = {
        "safe": {"strategy": "failover", "members": ["a", "b"]},
        "both": {"strategy": "ensemble", "members": ["safe", "b"]},
    }

    assert config(models=models).models["both"].members == ("safe", "b")


def test_api_keys_without_a_name_are_numbered_by_their_place() -> None:
    keys = ["one", {"key": "two", "name": "ops", "budget_usd_per_day": 3}, {"key": "three"}]

    named = config(server={"api_keys": keys}).server.api_keys

    assert [(key.name, key.key.get_secret_value()) for key in named] == [
        ("key-1", "one"),
        ("ops", "two"),
        ("key-3", "three"),
    ]
    assert named[1].budget_usd_per_day == 3.0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example.test"])
def test_a_host_that_others_can_reach_needs_an_api_key(host: str) -> None:
    with pytest.raises(ValidationError, match="can be reached from other machines"):
        config(server={"host": host})

    assert config(server={"host": host, "api_keys": ["k"]}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1"])
def test_loopback_needs_no_api_key(host: str) -> None:
    assert config(server={"host": host}).server.host == host


@pytest.mark.parametrize(
    ("state", "path"),
    [
        ("sqlite:///.troupe/state.db", "/start/.troupe/state.db"),
        ("sqlite:///s", "/start/s"),
        ("sqlite:////var/lib/troupe.db", "/var/lib/troupe.db"),
    ],
)
def test_the_state_file_is_taken_from_the_start_folder(state: str, path: str) -> None:
    assert config(optimizer={"state": state}).optimizer.state_path(Path("/start")) == Path(path)


@pytest.mark.parametrize("state", ["", "state.db", "sqlite://x", "sqlite:///", "sqlite:///:memory:", "sqlite:///dir/"])
def test_a_state_that_is_no_file_is_refused(state: str) -> None:
    with pytest.raises(ValidationError, match="sqlite:///PATH"):
        config(optimizer={"state": state})


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("server", {"port": 0}),
        ("server", {"port": 65_536}),
        ("server", {"port": True}),
        ("server", {"replicas": 0}),
        ("server", {"max_body_mb": 0}),
        ("server", {"max_body_mb": 10**400}),
        ("server", {"host": "http://127.0.0.1"}),
        ("server", {"api_keys": [""]}),
        ("server", {"api_keys": [{"key": "k", "budget_usd_per_day": -1}]}),
        ("ray", {"address": "somewhere"}),
        ("ray", {"namespace": ""}),
        ("tracing", {"sample_01": 1.1}),
        ("tracing", {"otlp_endpoint": "127.0.0.1:4318"}),
        ("tracing", {"otlp_endpoint": "http://user:secret@127.0.0.1:4318"}),
        ("optimizer", {"rewrite": "always"}),
        ("optimizer", {"rewrite_delta_01": 2}),
        ("optimizer", {"patterns": {"p": {"template": "{question}{question}"}}}),
        ("cache", {"ttl_s": 0}),
    ],
)
def test_values_out_of_bounds_are_refused(section: str, values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(**{section: values})


@pytest.mark.parametrize(
    "values",
    [
        {"timeout_s": 0},
        {"timeout_s": float("inf")},
        {"ttft_timeout_s": float("nan")},
        {"stall_timeout_s": "never"},
        {"max_retries": -1},
        {"max_concurrency": 0},
        {"rpm": 0},
        {"weight": -0.1},
        {"weight": 10**400},
        {"price": {"input_per_mtok": -1, "output_per_mtok": 0}},
        {"price": {"input_per_mtok": 1}},
        {"context_window": 1.5},
        {"supports": {"tools": 2}},
        {"base_url": "http://127.0.0.1"},
        {"api_key": "k"},
        {"threads": 2},
    ],
)
def test_a_scripted_backend_refuses(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"backends": {"a": {**SCRIPTED, **values}}})


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host/v1", "http://", "http://ho st", "http://host:99999"])
def test_a_base_url_must_be_usable(url: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"backends": {"a": {"provider": "openai", "model": "m", "base_url": url}}})


def test_another_host_and_port_can_be_served_at() -> None:
    made = config(server={"api_keys": ["k"]})

    moved = made.served_at("0.0.0.0", 9000)

    assert (moved.server.host, moved.server.port) == ("0.0.0.0", 9000)
    assert moved.server.api_keys == made.server.api_keys
    assert made.served_at(None, None) == made


def test_port_0_takes_a_free_one() -> None:
    assert config().served_at(None, 0).server.port >= 1024


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [("0.0.0.0", None, "at least one key"), (None, 70_000, "65535"), ("a b", None, "host name")],
)
def test_what_cannot_be_served_at_is_said(host: str | None, port: int | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config().served_at(host, port)


def test_a_configuration_survives_pickling() -> None:
    made = config(server={"api_keys": ["k"]}, models={"m": {"members": ["a"]}})

    assert pickle.loads(pickle.dumps(made)) == made


def test_a_request_log_is_placed_where_the_gateway_was_started() -> None:
    made = config(tracing={"request_log": "logs/requests.jsonl"})

    assert made.placed(Path("/srv")).tracing.request_log == "/srv/logs/requests.jsonl"
    assert made.placed(Path("/srv")).placed(Path("/other")).tracing.request_log == "/srv/logs/requests.jsonl"
    assert config().placed(Path("/srv")).tracing.request_log is None


def test_budgets_are_those_of_keys_and_of_models() -> None:
    keys = [{"key": "one", "name": "ann", "budget_usd_per_day": 3}, {"key": "two", "name": "bob"}]
    made = config(server={"api_keys": keys}, models={"m": {"members": ["a"], "budget_usd_per_day": 5}})

    assert made.budgets_usd() == {"key:ann": 3.0, "model:m": 5.0}
    assert made.model_record("m").name == "m"


def test_a_model_rewrites_as_the_optimizer_does_unless_it_says_otherwise() -> None:
    models = {"m": {"members": ["a"]}, "n": {"members": ["a"], "rewrite": "never"}}
    made = config(models=models, optimizer={"rewrite": "live"})

    assert [made.model_record(name).rewrite for name in ("m", "n")] == ["live", "never"]
    assert made.rewrites() == "live"


def test_where_nothing_is_learned_nothing_is_rewritten() -> None:
    made = config(models={"m": {"members": ["a"], "rewrite": "live"}}, optimizer={"rewrite": "live", "enabled": False})

    assert (made.model_record("m").rewrite, made.rewrites()) == ("never", "never")
