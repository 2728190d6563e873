"""The configurations that ship with the project."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actors.edge.config_file import check_text, parse_config

CLUSTER = Path(__file__).parents[3] / "cluster"
DEMO = (CLUSTER / "demo.yaml").read_text()
SCHEMA_KEYS = [match for match in re.finditer(r"(?<=[\s{])[a-z_]+(?=:(\s|$))", DEMO) if len(match[0]) > 3]
GATEWAYS = sorted(
    path.name for path in CLUSTER.glob("*.yaml") if "backends" in next(yaml.safe_load_all(path.read_text()))
)


def environment_of(text: str) -> dict[str, str]:
    return {name: f"value-of-{name}" for name in re.findall(r"env:([A-Z_]+)", text)}


def test_the_examples_are_there() -> None:
    assert {"demo.yaml", "demo-small.yaml", "local.yaml", "production.yaml"} <= set(GATEWAYS)


@pytest.mark.parametrize("name", GATEWAYS)
def test_an_example_has_no_problem(name: str) -> None:
    text = (CLUSTER / name).read_text()

    assert check_text(text, name, environment_of(text)) == []


@pytest.mark.parametrize("name", ["demo.yaml", "demo-small.yaml", "local.yaml"])
def test_an_example_for_one_machine_needs_no_secret(name: str) -> None:
    assert environment_of((CLUSTER / name).read_text()) == {}


def test_the_demo_asks_three_local_models() -> None:
    demo = parse_config(DEMO, environment={})

    assert demo.models["company"].members == ("smollm2", "qwen-0.5b", "qwen-1.5b")
    assert {backend.provider for backend in demo.backends.values()} == {"llama_cpp"}
    assert demo.models["first"].members[0] == "qwen-1.5b"


@given(st.data())
def test_a_misspelt_key_is_found_at_its_place_with_the_right_one(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(SCHEMA_KEYS))
    right = key[0]
    if right in parse_config(DEMO, environment={}).backends or right in ("company", "vote", "best", "first"):
        return  # free names
    at = data.draw(st.integers(0, len(right) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    wrong = data.draw(
        st.sampled_from(
            [
                right[:at] + right[at + 1 :],
                right[:at] + letter + right[at:],
                right[:at] + letter + right[at + 1 :],
                right[:at] + right[at : at + 2][::-1] + right[at + 2 :],
                right.upper(),
                right.replace("_", "-"),
                right.replace("_", ""),
            ]
        )
    )
    if wrong == right:
        return

    problems = check_text(DEMO[: key.start()] + wrong + DEMO[key.end() :], environment={})

    line = DEMO.count("\n", 0, key.start()) + 1
    found = [problem for problem in problems if problem.line == line and problem.message == "unknown key"]
    assert [problem.suggestion for problem in found] == [right]
