"""What does a YAML text say, and where does each value stand in it?"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from actors.edge.config_problems import Finding, FromEnv, KeyPath, Place, is_secret, nearest, shown

ENV_PREFIX = "env:"
MAX_VALUES = 50_000  # aliases of aliases grow exponentially; a thousand backends are 20,000 values

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"'[^'<>]{2,}'|\"[^\"<>]{2,}\"")  # `expected <block end>, but found '<scalar>'` quotes no text
_MAP, _SEQ, _STR, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "merge"))


@dataclass(slots=True)
class Document:
    """A configuration as written: plain values, strings from the environment as `FromEnv`.

    `places` holds where each key's value stands, for a mapping or list that of its key. `broken` are the paths whose
    value could not be had at all: it is reported in `findings`, and nothing else can be said of it.
    """

    root: object = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)

    def value(self, path: KeyPath) -> object:
        """What stands at a path; `None` where nothing does."""
        found = self.root
        for step in path:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    def is_broken(self, path: KeyPath) -> bool:
        """Whether the value at a path, or one that it is part of, could not be had."""
        return any(path[:length] in self.broken for length in range(len(path) + 1))


class Unreadable(Exception):
    """The text as a whole cannot be read as YAML."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message, place)
        self.message = message
        self.place = place


def read_document(text: str, environment: Mapping[str, str]) -> Document:
    """The text's only YAML document, with `env:NAME` resolved. Raises `Unreadable`."""
    try:
        root = yaml.SafeLoader(text).get_single_node()
        if root is None:
            raise Unreadable("the file is empty")
        return _Reader(environment).read(root)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(f"not valid YAML: {_reason(error)}", _error_place(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise Unreadable("not valid YAML: a character that YAML does not allow", Place(line, column)) from None
    except RecursionError:
        raise Unreadable("the file nests too deeply") from None


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._scalars = yaml.constructor.SafeConstructor()
        self._document = Document()
        self._open: set[int] = set()  # the nodes that the one being read is part of
        self._n_values = 0

    def read(self, root: Node) -> Document:
        self._document.root = self._value(root, ())
        return self._document

    def _value(self, node: Node, path: KeyPath) -> object:
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            raise Unreadable(f"the file holds more than {MAX_VALUES:,} values, aliases included", _place(node))
        if isinstance(node, ScalarNode) or path not in self._document.places:
            self._document.places[path] = _place(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_MAP, _SEQ):
            return self._broken(path, "has a tag that means nothing here", node)
        if id(node) in self._open:
            return self._broken(path, "an alias that is part of its own anchor has no end", node)
        with self._inside(node):
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]

    @contextmanager
    def _inside(self, node: Node) -> Iterator[None]:
        self._open.add(id(node))
        try:
            yield
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        """The mapping's own keys in their order, then those that it merges in and does not have itself."""
        found: dict[str, object] = {}
        first: dict[str, Place] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += value_node.value if value_node.tag == _SEQ else [value_node]
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in first:
                message = f"the same key again; the first is in line {first[key].line}, column {first[key].column}"
                self._document.findings.append(Finding((*path, key), message, place=_place(key_node)))
                continue
            first[key] = _place(key_node)
            found[key] = self._entry(key_node, value_node, (*path, key))
        for source in merged:
            self._merge(source, found, path)
        return found

    def _entry(self, key_node: Node, value_node: Node, path: KeyPath) -> object:
        self._document.keys[path] = self._document.places[path] = _place(key_node)
        return self._value(value_node, path)

    def _merge(self, source: Node, found: dict[str, object], path: KeyPath) -> None:
        if not isinstance(source, MappingNode):
            self._document.findings.append(Finding(path, "'<<' must be followed by a mapping", place=_place(source)))
        elif id(source) in self._open:
            message = "'<<' merges a mapping into itself"
            self._document.findings.append(Finding(path, message, place=_place(source)))
        else:
            with self._inside(source):
                inner = _Reader(self._environment)
                inner._open, inner._n_values = self._open, self._n_values
                for key, value in inner._mapping(source, path).items():
                    if key not in found:
                        found[key] = value
                        self._adopt(inner._document, (*path, key))
                self._n_values = inner._n_values

    def _adopt(self, other: Document, path: KeyPath) -> None:
        """Takes over what another document knows of a path and all below it."""
        below = len(path)
        own = self._document
        own.places.update({at: place for at, place in other.places.items() if at[:below] == path})
        own.keys.update({at: place for at, place in other.keys.items() if at[:below] == path})
        own.broken.update(at for at in other.broken if at[:below] == path)
        own.findings += [finding for finding in other.findings if finding.path[:below] == path]

    def _key(self, node: Node, path: KeyPath) -> str | None:
        """The key as text, or `None` for what is no text. In a script, words that YAML takes for flags are keys."""
        if isinstance(node, ScalarNode) and (node.tag == _STR or "script" in path[2:3]):
            return node.value
        if is_secret(path):
            found = "a key"
        elif isinstance(node, ScalarNode):
            found = f"the key {shown(node.value)}"
        else:
            found = "a list or mapping as a key"
        message = f"{found} is no text in YAML; put it in quotes"
        self._document.findings.append(Finding(path, message, place=_place(node)))
        return None

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        if node.tag == _STR:
            return self._text(node, path)
        try:
            return self._scalars.construct_object(node)
        except (ValueError, yaml.constructor.ConstructorError):  # an impossible date, 5,000 digits, an unknown tag
            return self._broken(path, "cannot be read as what it looks like; if it is text, put it in quotes", node)

    def _text(self, node: ScalarNode, path: KeyPath) -> object:
        text = str(node.value)
        if not text.startswith(ENV_PREFIX):
            return text
        name = text.removeprefix(ENV_PREFIX)
        if not _VARIABLE.fullmatch(name):
            return self._broken(path, "'env:' must be followed by the name of an environment variable", node)
        value = self._environment.get(name)
        if value:
            return FromEnv(value, name)
        state = "is not set" if value is None else "is empty"
        near = nearest(name, (other for other, given in self._environment.items() if given and other != name))
        self._broken(path, f"the environment variable {name} {state}", node, near)
        return FromEnv("", name)

    def _broken(self, path: KeyPath, message: str, node: Node, near: str | None = None) -> object:
        self._document.broken.add(path)
        self._document.findings.append(Finding(path, message, near, _place(node)))
        return None


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _error_place(error: yaml.MarkedYAMLError) -> Place | None:
    mark = error.problem_mark or error.context_mark
    return Place(mark.line + 1, mark.column + 1) if mark else None


def _reason(error: yaml.MarkedYAMLError) -> str:
    """The parser's reason, without the text that it quotes: an unquoted secret may be what it stumbled over."""
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    return _QUOTED.sub("'...'", reason)
