"""Can this file be used as a configuration, and if not, what are all the reasons?"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from actors.config.backends import BackendConfig
from actors.config.consistency import inconsistencies
from actors.config.document import Document, Unreadable, read_document
from actors.config.problems import Finding, Place, Problem, path_text
from actors.config.schema import schema_findings
from actors.config.settings import Config
from actors.protocol.errors import ConfigError, LLMError

BACKEND: TypeAdapter[BackendConfig] = TypeAdapter(BackendConfig)
BackendCheck = Callable[[str, BackendConfig], object]
"""Raises an `LLMError` for a backend, given with its name, that its provider could not use."""


def load_config(path: Path | str, check_backend: BackendCheck | None = None) -> Config:
    """The configuration in a file, with `env:NAME` resolved. Raises `ConfigError` that lists all problems."""
    return _usable(*_read_file(Path(path), check_backend))


def check_config(path: Path | str, check_backend: BackendCheck | None = None) -> list[Problem]:
    """All problems of a configuration file in the order of its lines; none if it can be used."""
    return _read_file(Path(path), check_backend)[1]


def parse_config(
    text: str,
    name: str = "config.yaml",
    environment: Mapping[str, str] | None = None,
    check_backend: BackendCheck | None = None,
) -> Config:
    """The configuration in a text that messages call `name`. Raises `ConfigError` that lists all problems.

    `environment` stands for that of the process if given.
    """
    return _usable(*_read(text, name, environment, check_backend))


def check_text(
    text: str,
    name: str = "config.yaml",
    environment: Mapping[str, str] | None = None,
    check_backend: BackendCheck | None = None,
) -> list[Problem]:
    """All problems of a configuration text, as `check_config` gives them."""
    return _read(text, name, environment, check_backend)[1]


def _usable(config: Config | None, problems: list[Problem]) -> Config:
    if config is not None and not problems:
        return config
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ConfigError("\n  ".join([f"The configuration has {count}:", *map(str, problems)]))


def _read_file(path: Path, check_backend: BackendCheck | None) -> tuple[Config | None, list[Problem]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None, [_of_whole(str(path), "there is no such file")]
    except OSError as error:
        return None, [_of_whole(str(path), f"the file cannot be read: {error.strerror or type(error).__name__}")]
    except UnicodeDecodeError:
        return None, [_of_whole(str(path), "the file is not UTF-8 text")]
    return _read(text, str(path), None, check_backend)


def _read(
    text: str, name: str, environment: Mapping[str, str] | None, check_backend: BackendCheck | None
) -> tuple[Config | None, list[Problem]]:
    try:
        document = read_document(text, os.environ if environment is None else environment)
    except Unreadable as error:
        return None, [_of_whole(name, error.message, error.place)]
    config, findings = _validated(document)
    if check_backend is not None:
        findings += _provider_findings(document, check_backend)
    problems = [_placed(name, document, finding) for finding in findings]
    return config, sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))


def _validated(document: Document) -> tuple[Config | None, list[Finding]]:
    if not isinstance(document.root, dict):
        not_a_mapping = Finding((), "the file must be a mapping with sections such as 'server' and 'backends'")
        return None, document.findings or [not_a_mapping]
    config = None
    found: list[Finding] = []
    try:
        config = Config.model_validate(document.root)
    except ValidationError as error:
        found = [*schema_findings(error, document), *inconsistencies(document.root)]
        found = [finding for finding in found if not document.is_broken(finding.path)]
        if not found and not document.findings:  # no error of the schema may go unreported
            found = [Finding((), "the parts of this configuration do not fit together")]
    return config, [*document.findings, *found]


def _provider_findings(document: Document, check_backend: BackendCheck) -> list[Finding]:
    """What the providers say of the backends to which the schema has no objection."""
    found = []
    given = document.value(("backends",))
    for name, backend in given.items() if isinstance(given, dict) else ():
        try:
            check_backend(name, BACKEND.validate_python(backend))
        except ValidationError:
            continue
        except LLMError as error:
            reason = error.message.replace(":\n  ", ": ").replace("\n  ", "; ")
            found.append(Finding(("backends", name), reason.removesuffix(".")))
    return found


def _placed(name: str, document: Document, finding: Finding) -> Problem:
    place = finding.place
    for length in range(len(finding.path), -1, -1):
        place = place or document.places.get(finding.path[:length])
    assert place is not None  # the root has a place
    path = path_text(finding.path)
    return Problem(name, path, place.line, place.column, finding.message, finding.suggestion)


def _of_whole(name: str, message: str, place: Place | None = None) -> Problem:
    line, column = (place.line, place.column) if place else (None, None)
    return Problem(name, "", line, column, message)
