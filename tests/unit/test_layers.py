"""Imports go down only, and sibling folders do not know each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What each part may import, besides itself.
PURE = {"routing", "ensembling", "optimizing", "resilience", "rewriting", "tracing"}
ALLOWED: dict[str, set[str]] = {
    "protocol": set(),
    **{folder: {"protocol"} for folder in PURE},
    "resilience": {"protocol"},
    "optimizing": {"protocol"},
    "orchestrating": {"protocol", *PURE},
    "island": {"protocol"},
    "providers": {"protocol", *PURE},
    "config": {"protocol", *PURE},
    "edge": {"protocol", *PURE},
    "benching": {"protocol", "island"},
    "evaluating": {"protocol", *PURE},
    "sandbox": {"protocol"},
    "shells": {
        "protocol",
        *PURE,
        "orchestrating",
        "island",
        "providers",
        "config",
        "edge",
        "benching",
        "evaluating",
        "sandbox",
        "shells",
    },
}
IMPURE_MODULES = {"ray", "aiohttp", "httpx", "pydantic", "starlette", "typer", "rich"}


def part_of(module: str) -> str:
    """The part that `actors.x...` belongs to: a folder, or `shells` for the files beside the folders."""
    names = module.split(".")
    return names[1] if len(names) > 1 and (ROOT / "actors" / names[1]).is_dir() else "shells"


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def sources() -> list[Path]:
    return sorted(path for path in (ROOT / "actors").rglob("*.py") if path.stat().st_size)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_lies_below_it(path: Path) -> None:
    own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))

    used = {part_of(module) for module in imports_of(path) if module.startswith("actors.")}

    assert used - {own} <= ALLOWED[own]


@pytest.mark.parametrize("folder", sorted({"protocol", "orchestrating", *PURE}))
def test_the_pure_core_needs_no_ray_and_no_http(folder: str) -> None:
    used = {module.split(".")[0] for path in (ROOT / "actors" / folder).rglob("*.py") for module in imports_of(path)}

    assert not used & IMPURE_MODULES


def test_ray_is_called_in_few_places() -> None:
    calling = {path.relative_to(ROOT).as_posix() for path in sources() if ".remote(" in path.read_text()}

    assert calling <= {
        "actors/edge/ray_ports.py",
        "actors/edge/ray_serve.py",
        "actors/edge/ray_stage.py",
        "actors/edge/ray_links.py",
        "actors/client.py",
    }


def test_only_one_module_reads_the_clock() -> None:
    reading = {path.relative_to(ROOT).as_posix() for path in sources() if "time" in imports_of(path)}

    # The janitor runs on the standard library alone, after everything else has ended.
    assert reading <= {"actors/protocol/clock.py", "actors/island/janitor.py"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_500_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
