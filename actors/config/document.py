"""What does a YAML text say, and where does each value stand in it?"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from actors.config.problems import Finding, FromEnv, KeyPath, Place, is_secret, nearest, shown

ENV_PREFIX = "env:"
MAX_VALUES = 50_000  # aliases of aliases grow exponentially; a thousand backends are 20,000 values

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_MAP, _SEQ, _STR, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "merge"))


@dataclass(slots=True)
class Document:
    """A configuration as written: plain values, strings from the environment as `FromEnv`.

    `places` holds where each value stands, for a mapping or list that of its key; `keys` where each key does. `broken`
    are the paths whose value could not be had at all: `findings` says why, and nothing else can be said of it.
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
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and isinstance(step, int):
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
        found: dict[str, object] = {}
        for key, (key_node, value_node) in self._pairs(node, path).items():
            self._document.places[(*path, key)] = self._document.keys[(*path, key)] = _place(key_node)
            found[key] = self._value(value_node, (*path, key))
        return found

    def _pairs(self, node: MappingNode, path: KeyPath) -> dict[str, tuple[Node, Node]]:
        """Each key's node and that of its value: the mapping's own, then those that it merges in."""
        pairs: dict[str, tuple[Node, Node]] = {}
        sources: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                sources += value_node.value if value_node.tag == _SEQ else [value_node]
                continue
            key = self._key(key_node, path)
            if key in pairs:
                first = _place(pairs[key][0])
                message = f"the same key again; the first is in line {first.line}, column {first.column}"
                self._find(path if is_secret(path) else (*path, key), message, key_node)
            elif key is not None:
                pairs[key] = key_node, value_node
        for source in sources:
            pairs = {**self._merged(source, path), **pairs}
        return pairs

    def _merged(self, source: Node, path: KeyPath) -> dict[str, tuple[Node, Node]]:
        if not isinstance(source, MappingNode):
            self._find(path, "'<<' must be followed by a mapping", source)
            return {}
        if id(source) in self._open:
            self._find(path, "'<<' merges a mapping into itself", source)
            return {}
        with self._inside(source):
            return self._pairs(source, path)

    def _key(self, node: Node, path: KeyPath) -> str | None:
        """The key as text, or `None` for what is no word. In a script, what YAML takes for a flag is a key: `on`."""
        if not isinstance(node, ScalarNode):
            self._find(path, "a list or mapping cannot be a key", node)
            return None
        if node.tag != _STR and "script" not in path[2:3]:
            key = "this key" if is_secret(path) else f"the key {shown(node.value)}"
            self._find(path, f"{key} is no text in YAML; put it in quotes", node)
        return str(node.value)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> object:
        if node.tag == _STR:
            return self._text(node, path)
        try:
            return self._scalars.construct_object(node)
        except (ValueError, LookupError, AttributeError, yaml.constructor.ConstructorError):
            # An impossible date, 5,000 digits, an unknown tag; PyYAML has no error of its own for `!!bool maybe`.
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
        near = nearest(name, (other for other, given in self._environment.items() if given and other != name), 0.7)
        self._broken(path, f"the environment variable {name} {state}", node, near)
        return FromEnv("", name)

    def _broken(self, path: KeyPath, message: str, node: Node, near: str | None = None) -> object:
        self._document.broken.add(path)
        self._find(path, message, node, near)
        return None

    def _find(self, path: KeyPath, message: str, node: Node, near: str | None = None) -> None:
        self._document.findings.append(Finding(path, message, near, _place(node)))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _error_place(error: yaml.MarkedYAMLError) -> Place | None:
    mark = error.problem_mark or error.context_mark
    return Place(mark.line + 1, mark.column + 1) if mark else None


def _reason(error: yaml.MarkedYAMLError) -> str:
    """The parser's reason, without words that it quotes: an unquoted secret may be what it stumbled over.

    Single characters and its own names for things, such as `'<block end>'`, stay.
    """
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    return _QUOTED.sub(lambda found: found[0] if len(found[0]) == 3 or found[0][1] == "<" else "'...'", reason)
