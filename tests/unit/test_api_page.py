"""Does docs/api.md name the routes and methods that exist?"""

import ast
import re
from pathlib import Path

import pytest

from tests.support.api_page import PAGE, differences, examples

ROOT = Path(__file__).parents[2]
HTTP_PAGE = (ROOT / "docs" / "http.md").read_text()
MODULES = {"Troupe": "client"}  # the others are in the module of their name
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))
METHODS = [
    (kind, *method)
    for kind, text in SECTIONS.items()
    for method in re.findall(r"^\| `(\w+)\((.*?)\)`", text, re.MULTILINE)
]


def test_every_route_has_an_example() -> None:
    routes = set(re.findall(r"^\| `(GET|POST) (/\S+)` \|", HTTP_PAGE, re.MULTILINE))

    shown = {
        (one.method, one.path.replace("qwen-1.5b", "{id}").replace("REQUEST_ID", "{request_id}")) for one in examples()
    }

    assert shown == routes


def test_every_kind_of_handle_has_a_section() -> None:
    assert list(SECTIONS) == ["Troupe", "Router", "Backend", "Optimizer", "Supervisor", "Tracer", "Ensemble"]


def parameters_of(kind: str, method: str) -> str:
    """The parameters of a documented method, from its source: Ray need not be imported to read it."""
    tree = ast.parse((ROOT / "actors" / f"{MODULES.get(kind, kind.lower())}.py").read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind)
    (function,) = (
        node
        for node in found.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == method and ast.get_docstring(node)
    )
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, [arguments.kwarg])]
    return ", ".join(argument.arg for argument in given[1:])


@pytest.mark.parametrize(("kind", "method", "parameters"), METHODS)
def test_a_method_exists_with_the_parameters_that_are_told(kind: str, method: str, parameters: str) -> None:
    assert parameters == parameters_of(kind, method)


def test_a_reply_differs_where_a_key_is_missing_or_of_another_kind() -> None:
    printed = {"a": 1, "b": [{"c": "x"}], "d": None}

    assert differences(printed, {"a": 2.5, "b": [{"c": "y"}], "d": "any", "more": 1}) == []
    assert differences(printed, {"a": "2", "b": [{}]}) == [
        ".d is not there",
        ".a is str, not int",
        ".b[].c is not there",
    ]
