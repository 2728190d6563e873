"""Who is compared, and how is each started?"""

import os
from pathlib import Path

import pytest

from actors.benching.contestants import ENSEMBLE, BareReplica, Launch, PlainUvicorn, Troupe, environment_for
from actors.benching.peers import LiteLlm, Portkey
from actors.benching.plans import CONTESTANTS
from actors.benching.target import Target
from actors.config.file import check_config, load_config
from actors.wiring import check_backend

UPSTREAM = "http://127.0.0.1:9000/v1"


def test_our_configuration_has_no_problem(tmp_path: Path) -> None:
    Troupe("troupe-2", replicas=2).launch(UPSTREAM, 8000, tmp_path)

    assert check_config(tmp_path / "gateway.yaml", check_backend) == []
    settings = load_config(tmp_path / "gateway.yaml")
    assert settings.server.replicas == 2
    assert len(settings.server.api_keys) == 1
    assert settings.tracing.enabled
    assert settings.backends["instant"].price is not None


def test_the_ensemble_waits_for_its_three_members(tmp_path: Path) -> None:
    launch = Troupe().launch(UPSTREAM, 8000, tmp_path)

    model = load_config(tmp_path / "gateway.yaml").models[ENSEMBLE]
    assert launch.target.ensemble == ENSEMBLE
    assert (len(model.members), model.quorum, model.merge) == (3, 3, "majority_vote")


@pytest.mark.parametrize("contestant", CONTESTANTS.values(), ids=lambda contestant: contestant.name)
def test_every_contestant_is_told_its_port_and_takes_chats_there(contestant: Troupe, tmp_path: Path) -> None:
    launch = contestant.launch(UPSTREAM, 28765, tmp_path)

    assert any("28765" in str(part) for part in launch.command)
    assert launch.target.url == "http://127.0.0.1:28765/v1/chat/completions"
    assert contestant.merges == (launch.target.ensemble is not None)


@pytest.mark.parametrize("contestant", [BareReplica(), PlainUvicorn(), LiteLlm(), Portkey(), Troupe()])
def test_every_gateway_is_told_its_upstream(contestant: Troupe, tmp_path: Path) -> None:
    launch = contestant.launch(UPSTREAM, 28765, tmp_path)

    told = [*map(str, launch.command), *launch.environment.values(), *launch.target.headers.values()]
    told += [path.read_text() for path in tmp_path.iterdir()]
    assert any(UPSTREAM in text for text in told)


def test_keys_are_not_shown() -> None:
    target = Target("http://x", "m", {"authorization": "Bearer sk-secret"})

    assert "secret" not in repr(Launch(["x"], target, {"KEY": "sk-secret"}))


def test_a_contestant_gets_its_mark_and_nothing_of_another_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere")
    monkeypatch.setenv("TROUPE_INSTANCE", "another")
    launch = Launch(["x"], Target("http://x", "m"), {"OWN": "1"})

    environment = environment_for(launch, "m1", "TROUPE_BENCH_CONTESTANT")

    assert environment["TROUPE_BENCH_CONTESTANT"] == "m1"
    assert environment["OWN"] == "1"
    assert environment["PATH"] == os.environ["PATH"]
    assert not {"RAY_ADDRESS", "TROUPE_INSTANCE"} & set(environment)
