"""What does docs/api.md say that one sends, and what that one gets?"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
BLOCK = re.compile(r"^```http\n(GET|POST) (\S+)\n(.*?)^```\n^```(json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One request, and the reply that is printed below it: JSON, or else the text."""

    method: str
    path: str
    body: Any
    reply: Any


def examples() -> list[Example]:
    """All examples of the page, in its order."""
    return [
        Example(method, path, json.loads(body) if body else None, json.loads(reply) if kind == "json" else reply)
        for method, path, body, kind, reply in BLOCK.findall(PAGE)
    ]


def differences(printed: Any, real: Any, where: str = "") -> list[str]:
    """Where a real reply lacks what is printed, or has another kind of value there; `null` may be anything.

    Of a printed list, the first item must be like one of the real list, unless that is empty or the printed one is.
    """
    if printed is None or real is None:
        return []
    if isinstance(printed, Mapping) and isinstance(real, Mapping):
        missing = [f"{where}.{key} is not there" for key in sorted(printed.keys() - real.keys())]
        both = printed.keys() & real.keys()
        return missing + [one for key in sorted(both) for one in differences(printed[key], real[key], f"{where}.{key}")]
    if isinstance(printed, list) and isinstance(real, list):
        found = [differences(printed[0], one, f"{where}[]") for one in real] if printed else []
        return min(found, key=len, default=[])
    numbers = (int, float)
    alike = type(printed) is type(real) or (type(printed) in numbers and type(real) in numbers)
    return [] if alike else [f"{where} is {type(real).__name__}, not {type(printed).__name__}"]
