"""Which shape did the caller ask for, and does an answer have it?"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from actors.ensembling.flaws import Flaw
from actors.protocol.messages import Answer

CHECKED_CHARS = 50_000  # a longer answer is taken as fitting, and a longer schema as none
REFERENCES = 2_000  # that are followed for one answer; with more, as in a schema that unfolds without end, it fits

Fits = Callable[[object], bool]

_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
# Callers and models could hold up everybody else with these: what a value has to be otherwise is checked all the same.
_NOT_CHECKED = ("pattern", "uniqueItems", "$dynamicRef")
_NOT_UNDERSTOOD = '"patternProperties"'  # what else may stand in an object depends on them


@dataclass(frozen=True, slots=True)
class Wanted:
    """The shape of an answer that a request asks for. `as_object`: nothing but a JSON object is JSON enough. `fits`:
    whether a JSON value is what the caller's schema describes. `tools`: what may be called, none stated when empty."""

    as_json: bool = False
    as_object: bool = False
    fits: Fits | None = None
    tools: frozenset[str] = frozenset()

    def flaw_of(self, text: str) -> Flaw | None:
        """`malformed` where the text, undressed, is not the JSON that was asked for, `invalid` where the schema says
        otherwise; `None` where nothing is wrong, and where no JSON was asked for."""
        if not self.as_json or not text.strip():
            return None
        value = _parsed(json_in(text))
        if value is _NOTHING or (self.as_object and not isinstance(value, dict)):
            return "malformed"
        return "invalid" if self.fits is not None and len(text) <= CHECKED_CHARS and not self.fits(value) else None


ANYTHING = Wanted()


def wanted_by(body: Mapping[str, Any]) -> Wanted:
    """What a request's `response_format` and `tools` ask for. A schema that is none is not checked."""
    tools = body.get("tools")
    names = frozenset(_names(tools)) if isinstance(tools, list) else frozenset()
    response_format = body.get("response_format")
    if not isinstance(response_format, dict):
        return Wanted(tools=names) if names else ANYTHING
    kind = response_format.get("type")
    if kind == "json_object":
        return Wanted(as_json=True, as_object=True, tools=names)
    if kind == "json_schema":
        described = response_format.get("json_schema")
        schema = described.get("schema") if isinstance(described, dict) else None
        return Wanted(as_json=True, fits=_fitting(schema) if isinstance(schema, dict) else None, tools=names)
    return Wanted(tools=names) if names else ANYTHING


def json_in(text: str) -> str:
    """The JSON of a reply: without a code fence or words around it; the text itself where there is none."""
    bare = text.strip()
    if bare[:1] in ("{", "[") and _parsed(bare) is not _NOTHING:
        return bare
    if (block := _FENCED.search(bare)) is not None and _parsed(block[1]) is not _NOTHING:
        return block[1].strip()
    start = min((place for place in (bare.find("{"), bare.find("[")) if place > 0), default=0)
    try:
        _, end = json.JSONDecoder().raw_decode(bare, start) if start else (None, 0)
    except (ValueError, RecursionError):
        end = 0
    return bare[start:end] if end else bare


def undressed(answer: Answer) -> Answer:
    """The answer with nothing but its JSON as its content, so that the caller can parse it."""
    completion = answer.completion
    bare = json_in(completion.text)
    choices = completion.body.get("choices")
    if bare == completion.text or not isinstance(choices, list) or not choices:
        return answer
    choice = {**choices[0], "message": {**choices[0].get("message", {}), "content": bare}}
    body = {**completion.body, "choices": [choice, *choices[1:]]}
    return replace(answer, completion=replace(completion, body=body, text=bare))


class _Nothing:
    """What is not JSON; `null` is."""


_NOTHING = _Nothing()


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _names(tools: list[Any]) -> list[str]:
    functions = (tool.get("function") for tool in tools if isinstance(tool, dict))
    return [str(one["name"]) for one in functions if isinstance(one, dict) and "name" in one]


def _fitting(schema: Mapping[str, Any]) -> Fits | None:
    return _validator(json.dumps(schema, sort_keys=True))


@lru_cache(maxsize=256)
def _validator(schema: str) -> Fits | None:
    """Whether a value fits the schema; `None` for what is no schema. Nothing is fetched for a reference."""
    if len(schema) > CHECKED_CHARS or _NOT_UNDERSTOOD in schema:
        return None
    left = 0

    def follow(validator: Any, reference: Any, instance: Any, _: Any) -> Iterator[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise RecursionError
        yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, _)

    ignored = dict.fromkeys(_NOT_CHECKED, _ignored)
    parsed = json.loads(schema)
    try:
        Draft202012Validator.check_schema(parsed)
    except (SchemaError, RecursionError):
        return None
    validator = extend(Draft202012Validator, {**ignored, "$ref": follow})(parsed, registry=Registry())

    def fits(value: object) -> bool:
        nonlocal left
        left = REFERENCES
        try:
            return bool(validator.is_valid(value))
        except (Unresolvable, RecursionError):  # a schema that cannot be followed says nothing against an answer
            return True

    return fits


def _ignored(*_: Any) -> None:
    """Finds nothing wrong."""
