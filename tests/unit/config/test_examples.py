"""The configurations that ship with the project."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actors.config.file import check_text, parse_config

CLUSTER = Path(__file__).parents[3] / "cluster"
DEMO = (CLUSTER / "demo.yaml").read_text()
BETWEEN_TWO = ("post", "hort")  # as near to `host` as to `port`
FREE_NAMES = {"smollm2", "company", "vote", "best", "thrifty", "first"}
KEYS = [
    (number, key.start(), key[0])
    for number, line in enumerate(DEMO.splitlines(), 1)
    for key in re.finditer(r"\b[a-z_]+(?=:(\s|$))", line.partition("#")[0])
    if key[0] not in FREE_NAMES
]
GATEWAYS = sorted(
    path.name for path in CLUSTER.glob("*.yaml") if "backends" in next(yaml.safe_load_all(path.read_text()))
)


def environment_of(text: str) -> dict[str, str]:
    return {name: f"value-of-{name}" for name in re.findall(r"^[^#\n]*env:([A-Z_]+)", text, re.MULTILINE)}


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


@st.composite
def misspelt(draw: st.DrawFn) -> tuple[int, int, str, str]:
    """A line and column of the demo, the key that stands there, and that key with one mistake in it."""
    line, column, key = draw(st.sampled_from(KEYS))
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    before, here, after = key[:at], key[at], key[at + 1 :]
    swapped = before + after[:1] + here + after[1:]
    slips = [before + after, before + letter + here + after, before + letter + after, swapped]
    habits = [key.upper(), key.capitalize(), key.replace("_", "-"), key.replace("_", "")]
    wrong = draw(st.sampled_from(slips + habits).filter(lambda one: one not in ("", key, *BETWEEN_TWO)))
    return line, column, key, wrong


@given(misspelt())
def test_a_misspelt_key_is_found_at_its_place_with_the_right_one(slip: tuple[int, int, str, str]) -> None:
    line, column, right, wrong = slip
    lines = DEMO.splitlines()
    lines[line - 1] = lines[line - 1][:column] + wrong + lines[line - 1][column + len(right) :]

    problems = check_text("\n".join(lines), environment={})

    found = [problem for problem in problems if problem.message == "unknown key"]
    assert [(one.line, one.column, one.suggestion) for one in found] == [(line, column + 1, right)]
