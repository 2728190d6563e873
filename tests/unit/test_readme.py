"""The README's examples: configurations that can be used, code that compiles, commands and files that exist."""

import re
from pathlib import Path

import pytest

from actors.config.file import check_text

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_a_configuration_in_the_readme_can_be_used(text: str) -> None:
    environment = dict.fromkeys(re.findall(r"env:(\w+)", text), "sk-x")

    assert check_text(text, environment=environment) == []


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python"])
def test_code_in_the_readme_compiles(text: str) -> None:
    compile(text, "README.md", "exec")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:cluster|examples|benchmarks|docs)/[\w./-]+\w", README))))
def test_a_file_that_the_readme_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_command_is_in_the_readme() -> None:
    from actors.cli import app

    names = {command.name or (command.callback and command.callback.__name__) for command in app.registered_commands}

    assert all(f"`troupe {name}" in README or f"`troupe {name}`" in README for name in names)
