"""Is what README.md and docs/ say true of the code?"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from actors.cli import app, models_app, optimizer_app
from actors.config import settings
from actors.config.backends import AnyBackend, PriceConfig, SupportsConfig
from actors.config.file import check_text
from actors.edge.wire import WISHES
from actors.ensembling.merges import MERGES
from actors.island.haproxy_launcher import OWN_ERRORS
from actors.protocol.errors import CatalogueError, ConfigError, LLMError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {page.name: page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))}
DOCUMENTS = {"README.md": README, **PAGES}

SECTIONS: dict[str, type[BaseModel]] = {
    "server": settings.ServerConfig,
    "server.api_keys": settings.ApiKey,
    "ray": settings.RayConfig,
    "backends": AnyBackend,
    "price": PriceConfig,
    "supports": SupportsConfig,
    "provider: openai": settings.OpenAIBackend,
    "provider: llama_cpp": settings.LlamaCppBackend,
    "provider: scripted": settings.ScriptedBackend,
    "models": settings.ModelConfig,
    "optimizer": settings.OptimizerConfig,
    "tracing": settings.TracingConfig,
    "cache": settings.CacheConfig,
    "sandbox": settings.SandboxConfig,
}
WORDED = {"key-1, key-2, ...", "as below", "that of `optimizer`"}  # defaults that are made up of others
Row = list[str]


def section(title: str, page: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^#+ ", page.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def tables(text: str) -> list[list[Row]]:
    """The tables of a text: each a list of rows, each a list of cells, without heading and rule."""
    runs = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in line.split("|")[1:-1]] for line in run.splitlines()[2:]] for run in runs]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def own_keys(kind: type[BaseModel]) -> list[str]:
    """The keys of a section, without those that all backends share."""
    shared = AnyBackend.model_fields if AnyBackend in kind.__bases__ else {}
    return [name for name in kind.model_fields if name not in shared]


def limits(told: object) -> Iterator[Ge | Gt | Le]:
    """The bounds of a number, wherever in a field or its type they stand."""
    if isinstance(told, Ge | Gt | Le):
        yield told
    for part in [*getattr(told, "metadata", ()), *get_args(getattr(told, "annotation", told))]:
        yield from limits(part)


def range_of(field: FieldInfo) -> str:
    """A number's range in the page's words; "" without one."""
    words = {
        Ge: lambda limit: f"{limit.ge:g}",
        Gt: lambda limit: f"above {limit.gt:g},",
        Le: lambda limit: f"to {limit.le:.0f}",
    }
    return " ".join(words[type(limit)](limit) for limit in limits(field))


KEYS = [(title, row) for title in SECTIONS for row in tables(section(title, PAGES["configuration.md"]))[0]]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_configuration_page_has_every_key_and_no_other(title: str) -> None:
    documented = [code(row[0])[0] for heading, row in KEYS if heading == title]

    assert sorted(documented) == sorted(own_keys(SECTIONS[title]))


@pytest.mark.parametrize(("title", "row"), KEYS, ids=lambda told: told if isinstance(told, str) else told[0])
def test_a_key_has_the_documented_default_and_range(title: str, row: Row) -> None:
    name = code(row[0])[0]
    field = SECTIONS[title].model_fields[name]

    default = field.get_default(call_default_factory=True)
    if row[1] in ("required", "none", "a majority"):
        assert (row[1] == "required") == field.is_required()
        assert field.is_required() or default is None
    elif row[1] not in WORDED:
        plain = default.model_dump() if isinstance(default, BaseModel) else default
        assert yaml.safe_load(code(row[1])[0]) == (list(plain) if isinstance(plain, tuple) else plain)
    assert row[2] == range_of(field)


def test_every_strategy_and_merge_is_explained() -> None:
    explained = [code(row[0])[0] for table in tables(section("models", PAGES["configuration.md"]))[1:] for row in table]

    assert explained == [*settings.ALL_STRATEGIES, *MERGES]


def test_every_error_is_explained_as_it_is() -> None:
    (table,) = tables(section("Errors", PAGES["http.md"]))
    explained = {(row[0], *code(row[1]), row[2]) for row in table}

    def tree(kind: type[LLMError]) -> Iterator[type[LLMError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from tree(below)

    told = {(str(one.status), one.code, one.kind) for one in tree(LLMError) if one not in (ConfigError, CatalogueError)}
    fronts = {(str(status), error[2], error[1]) for status, error in OWN_ERRORS.items()}
    assert told | fronts <= explained


def test_every_wish_is_explained() -> None:
    (table,) = tables(section("A request", PAGES["http.md"]))

    assert {code(row[0])[0] for row in table} == set(WISHES)


def test_every_command_is_listed() -> None:
    (table,) = tables(section("Commands", README))
    listed = {words.split()[1] for row in table for words in code(row[0])}

    commands = {
        str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback
    }
    assert listed == {*commands, "models", "optimizer"}
    assert {command.name for command in models_app.registered_commands} == {"list", "pull"}
    assert {command.name for command in optimizer_app.registered_commands} == {"export", "import", "reset"}


def test_every_part_of_the_house_is_drawn() -> None:
    drawn = section("The house", PAGES["architecture.md"])

    parts = [path for path in (ROOT / "actors").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    names = {f"{path.name}/" if path.is_dir() else path.name for path in parts} - {"__init__.py"}
    assert {line.split()[0] for line in drawn.splitlines() if line.startswith("  ")} == names


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"

    links = re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENTS[name])

    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_configurations_have_no_problem_and_python_compiles(name: str) -> None:
    for text in blocks("yaml", DOCUMENTS[name]):
        environment = dict.fromkeys(re.findall(r"env:([A-Z_]+)", text), "value")
        assert check_text(text, name, environment) == []
    for source in blocks("python", DOCUMENTS[name]):
        compile(source, name, "exec")


def test_the_readme_shows_a_configuration_and_two_ways_from_python() -> None:
    assert len(blocks("yaml", README)) == 1
    assert len(blocks("python", README)) == 2
