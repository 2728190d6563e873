"""What does the schema object to, in words for the person who wrote the file?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from actors.config.backends import PROVIDERS, AnyBackend, PriceConfig, SupportsConfig
from actors.config.document import Document
from actors.config.patterns import ExampleConfig, PatternConfig
from actors.config.problems import Finding, FromEnv, KeyPath, is_secret, listed, nearest, shown
from actors.config.settings import (
    ApiKey,
    CacheConfig,
    Config,
    ModelConfig,
    OptimizerConfig,
    RayConfig,
    SandboxConfig,
    ServerConfig,
    TracingConfig,
)
from actors.config.values import Section, refused_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ANY = "*"
OWNERS: Mapping[KeyPath, type[Section]] = {
    (): Config,
    ("server",): ServerConfig,
    ("server", "api_keys", ANY): ApiKey,
    ("ray",): RayConfig,
    ("backends", ANY, "price"): PriceConfig,
    ("backends", ANY, "supports"): SupportsConfig,
    ("models", ANY): ModelConfig,
    ("optimizer",): OptimizerConfig,
    ("optimizer", "patterns", ANY): PatternConfig,
    ("optimizer", "patterns", ANY, "examples", ANY): ExampleConfig,
    ("tracing",): TracingConfig,
    ("cache",): CacheConfig,
    ("sandbox",): SandboxConfig,
}
"""Whose keys may stand in a mapping; those of a backend depend on its provider."""

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be a mapping"),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    **dict.fromkeys(("too_short", "string_too_short"), "must not be empty"),
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:.15g}",
}


def schema_findings(error: ValidationError, document: Document) -> list[Finding]:
    """What the errors mean for the document. None of it quotes a secret or a value of the environment."""
    return _without_echoes(_translated(error, document, ()))


def _translated(error: ValidationError, document: Document, base: KeyPath) -> list[Finding]:
    found: list[Finding] = []
    for problem in error.errors(include_url=False, include_input=False):
        path = _path(base, problem["loc"])
        if problem["type"] == "inconsistent" or (problem["type"] == "too_short" and document.value(path)):
            continue  # told apart elsewhere: what does not fit together, and the items that do not count
        if problem["type"].startswith("union_tag"):
            found += _provider_findings(path, document)
        elif problem["type"] == "missing":
            found.append(Finding(path[:-1], f"'{path[-1]}' is missing", None))
        elif problem["type"] == "extra_forbidden":
            found.append(_unknown_key(path, document))
        else:
            found.append(_wrong_value(path, problem, document))
    return found


def _path(base: KeyPath, loc: KeyPath) -> KeyPath:
    """The path in the file: pydantic puts the provider between a backend's name and its keys."""
    path = (*base, *loc)
    return (*path[:2], *path[3:]) if not base and path[:1] == ("backends",) else path


def _wrong_value(path: KeyPath, problem: "ErrorDetails", document: Document) -> Finding:
    while path not in document.places:  # a key given as text alone is a mapping to the schema
        path = path[:-1]
    value, context = document.value(path), problem.get("ctx", {})
    words = WORDS.get(problem["type"])
    message = problem["msg"].replace("Input should", "must") if words is None else words.format_map(context)
    if problem["type"] in ("planned_name", "unknown_name"):
        near = None if isinstance(value, FromEnv) else context.get("suggestion")
        return Finding(path, f"{shown(value)} {message}", near or None)
    if problem["type"] != "planned" and not _confidential(path, value):
        message += f"; found {shown(value)}"
    return Finding(path, message + _hint(problem["type"], value))


def _hint(kind: str, value: object) -> str:
    if kind != "string_type" or value is None or isinstance(value, list):
        return ""
    if isinstance(value, dict):
        return "; a variable is written env:NAME, without a space" if list(value) == ["env"] else ""
    return "; put it in quotes"


def _confidential(path: KeyPath, value: object) -> bool:
    """Whether a value may hold a secret; a URL may hold one before its @ or in its query."""
    return is_secret(path) or (isinstance(value, str) and not {"@", "?"}.isdisjoint(value))


def _unknown_key(path: KeyPath, document: Document) -> Finding:
    parent, key = path[:-1], str(path[-1])
    place = document.keys.get(path)
    known, owner = _known_keys(parent, document)
    near = nearest(key, known)
    if is_secret(parent) and near is None:
        hidden = f"an unknown key, not shown as it may be a secret; known are {listed(known)}"
        return Finding(parent, hidden, place=place)
    elsewhere = [name for name, kind in PROVIDERS.items() if key in kind.model_fields]
    if owner in PROVIDERS and elsewhere:
        others = " and ".join(f"'{name}'" for name in elsewhere)
        return Finding(path, f"this key is for the provider {others}, but this backend's is '{owner}'", place=place)
    return Finding(path, "unknown key" if near else f"unknown key; known are {listed(known)}", near, place)


def _known_keys(path: KeyPath, document: Document) -> tuple[Sequence[str], str | None]:
    """The keys of a mapping, and its provider if it is a backend."""
    if len(path) == 2 and path[0] == "backends":
        provider = document.value((*path, "provider"))
        if isinstance(provider, str) and provider in PROVIDERS:
            return list(PROVIDERS[provider].model_fields), str(provider)
        return list(dict.fromkeys(key for kind in PROVIDERS.values() for key in kind.model_fields)), None
    for pattern, owner in OWNERS.items():
        if len(pattern) == len(path) and all(want in (ANY, step) for want, step in zip(pattern, path, strict=True)):
            return list(owner.model_fields), None
    return [], None


def _provider_findings(path: KeyPath, document: Document) -> list[Finding]:
    """What is wrong with a backend whose provider is missing or unknown: that, and all that can be said anyway."""
    given = document.value(path)
    if not isinstance(given, dict):
        return [Finding(path, f"must be a mapping; found {shown(given)}")]
    provider, available = given.get("provider"), list(PROVIDERS)
    if "provider" not in given:
        return [
            Finding(path, f"'provider' is missing; available: {listed(available)}"),
            *_anyway(path, None, document),
        ]
    at = (*path, "provider")
    if not isinstance(provider, str):
        message = f"must be one of {listed(available)}; found {shown(provider)}"
        return [Finding(at, message), *_anyway(path, None, document)]
    error: PydanticCustomError = refused_name("provider", provider, available)
    near = None if isinstance(provider, FromEnv) else (error.context or {}).get("suggestion") or None
    return [Finding(at, f"{shown(provider)} {error.message()}", near), *_anyway(path, near, document)]


def _anyway(path: KeyPath, provider: str | None, document: Document) -> list[Finding]:
    """What is wrong with a backend's keys if the provider is that, or whichever it is."""
    kind = PROVIDERS.get(provider or "", AnyBackend)
    special = {key for one in PROVIDERS.values() for key in one.model_fields if key not in AnyBackend.model_fields}
    given = document.value(path)
    assert isinstance(given, dict)
    ignored = {"provider", *special} if kind is AnyBackend else {"provider"}
    keys = {key: value for key, value in given.items() if key not in ignored}
    try:
        kind.model_validate(keys)
    except ValidationError as error:
        return _translated(error, document, path)
    return []


def _without_echoes(findings: Sequence[Finding]) -> list[Finding]:
    """Drops a missing key where an unknown one beside it is a misspelling of it."""
    meant = {(finding.path[:-1], finding.suggestion) for finding in findings if finding.message == "unknown key"}
    return [finding for finding in findings if not any(_says_missing(finding, *one) for one in meant)]


def _says_missing(finding: Finding, parent: KeyPath, key: str | None) -> bool:
    return finding.path == parent and finding.message.startswith(f"'{key}' is missing")
