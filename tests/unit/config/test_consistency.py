from typing import Any

import pytest

from actors.config.consistency import inconsistencies
from actors.config.problems import path_text

BACKENDS: dict[str, object] = {"qwen": {}, "smol": {}}


def found(**models: Any) -> dict[str, str]:
    """Messages by path for a configuration with two backends and these models."""
    return {path_text(one.path): one.message for one in inconsistencies({"backends": BACKENDS, "models": models})}


def test_what_fits_is_not_objected_to() -> None:
    assert found(fast={"members": ["qwen", "smol"], "quorum": 2}, all={"members": ["fast"], "judge": "qwen"}) == {}


def test_an_unknown_member_is_reported_with_the_nearest_name() -> None:
    (one,) = inconsistencies({"backends": BACKENDS, "models": {"fast": {"members": ["smol", "qwn"]}}})

    assert one.path == ("models", "fast", "members", 1)
    assert one.message == "no backend or model is called 'qwn'"
    assert one.suggestion == "qwen"


def test_an_unknown_member_that_is_like_no_other_gets_the_list() -> None:
    message = found(fast={"members": ["xyz"]})["models.fast.members[0]"]

    assert message == "no backend or model is called 'xyz'; there are 'qwen', 'smol'"


def test_an_unknown_judge_is_reported() -> None:
    assert list(found(fast={"members": ["qwen"], "judge": "smoll"})) == ["models.fast.judge"]


def test_a_member_twice_is_reported_with_both_places() -> None:
    messages = found(fast={"members": ["qwen", "smol", "qwen"]})

    assert messages == {"models.fast.members[2]": "'qwen' is already a member: models.fast.members[0]"}


@pytest.mark.parametrize("quorum", [3, "3", 3.0, " 3.0 "])
def test_a_quorum_above_the_number_of_members_is_reported(quorum: object) -> None:
    messages = found(fast={"members": ["qwen", "smol"], "quorum": quorum})

    assert "must be at most 2" in messages["models.fast.quorum"]


def test_an_ensemble_needs_two_members() -> None:
    assert list(found(fast={"strategy": "ensemble", "members": ["qwen"]})) == ["models.fast.members"]


def test_a_model_may_not_have_the_name_of_a_backend() -> None:
    assert list(found(qwen={"members": ["smol"]})) == ["models.qwen"]


@pytest.mark.parametrize("name", ["", "a b", "-a", "é", "a" * 129, "env:NAME", "a\nb"])
def test_names_that_no_header_or_url_can_carry_are_reported(name: str) -> None:
    assert inconsistencies({"backends": {name: {}}})[0].path == ("backends", name)


@pytest.mark.parametrize("name", ["a", "qwen-0.5b", "org/model:latest", "A_1@v2+x"])
def test_usual_names_of_models_are_taken(name: str) -> None:
    assert inconsistencies({"backends": {name: {}}}) == []


def test_each_cycle_is_reported_once_and_named() -> None:
    messages = found(
        a={"members": ["b", "qwen"]},
        b={"members": ["qwen", "c"]},
        c={"members": ["a"]},
        d={"members": ["qwen"], "judge": "d"},
    )

    assert len(messages) == 2
    assert messages["models.d.judge"] == "a model cannot lead back to itself: d -> d"
    (cycle,) = [message for path, message in messages.items() if path != "models.d.judge"]
    names = cycle.rpartition(": ")[2].split(" -> ")
    assert names[0] == names[-1]
    assert set(names) == {"a", "b", "c"}


def test_two_ways_to_the_same_model_are_no_cycle() -> None:
    to_z = {"members": ["z"]}

    assert found(top={"members": ["x", "y"]}, x=to_z, y=to_z, z={"members": ["qwen"]}) == {}


def test_a_chain_of_thousands_of_models_is_followed() -> None:
    chain = {f"m{n}": {"members": [f"m{n + 1}"]} for n in range(5000)}

    assert found(**chain, m5000={"members": ["qwen"]}) == {}
    assert len(found(**chain, m5000={"members": ["m0"]})) == 1


def test_names_of_api_keys_are_unique() -> None:
    keys = ["s1", {"key": "s2", "name": "key-1"}, {"key": "s3", "name": "ops"}, {"key": "s4", "name": "ops"}]

    messages = [one.message for one in inconsistencies({"server": {"api_keys": keys}})]

    assert messages == [
        "the name 'key-1' is already that of server.api_keys[0]",
        "the name 'ops' is already that of server.api_keys[2]",
    ]


def test_one_api_key_under_two_names_is_reported_without_being_shown() -> None:
    (one,) = inconsistencies({"server": {"api_keys": ["s3cret", {"key": "s3cret", "name": "ops"}]}})

    assert one.message == "this is the same key as server.api_keys[0]"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"backends": None, "models": None, "server": None},
        {"backends": [], "models": "x", "server": 5},
        {"models": {"a": None, "b": [], "c": {"members": "x", "quorum": True, "judge": 5}}},
        {"models": {"a": {"members": [None, [], {}, 5, 5], "quorum": "many"}}},
        {"server": {"host": 5, "api_keys": [None, 5, {}, {"name": 5}, {"key": None}]}},
    ],
)
def test_what_has_the_wrong_type_is_left_to_the_schema(broken: dict[str, object]) -> None:
    assert inconsistencies(broken) == []


def test_code_is_run_for_best_of_n_alone() -> None:
    model = {"strategy": "ensemble", "members": ["qwen", "smol"], "merge": "best_of_n", "verifier": "tests"}

    assert found(code=model) == {}
    assert list(found(code={**model, "merge": "majority_vote"})) == ["models.code.verifier"]
    assert list(found(code={"members": ["qwen"], "verifier": "tests"})) == ["models.code.verifier"]


def test_only_a_vote_has_a_leader_to_stream() -> None:
    model = {"strategy": "ensemble", "members": ["qwen", "smol"], "stream_leader": True}

    assert list(found(led=model)) == []
    assert list(found(led={**model, "merge": "best_of_n"})) == ["models.led.stream_leader"]
    assert list(found(led={**model, "strategy": "failover"})) == ["models.led.stream_leader"]
