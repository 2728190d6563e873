"""What is wrong with a configuration, where does it stand, and what was probably meant?"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead from the root of a configuration to a value."""

SHOWN_CHARS = 60
NEAR_ENOUGH = 0.5  # one slip in a word of three letters, `rxy` for `ray`, leaves 0.67
SECRET_KEYS = frozenset({"api_key", "api_keys"})

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class FromEnv(str):
    """A value that an environment variable gave. Messages name the variable and never show the value."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, value: str, variable: str) -> "FromEnv":
        made = super().__new__(cls, value)
        made.variable = variable
        return made


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a key. `place` is set where that is not simply the place of the key or of its value."""

    path: KeyPath
    message: str
    suggestion: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration file. No part of it holds a secret or a variable's value.

    `path` is the key, such as `models.fast.members[1]`, and empty for the file as a whole; `line` and `column` count
    from 1 and are `None` where the file has no such place; `suggestion` is the valid name that is nearest.
    """

    file: str
    path: str
    line: int | None
    column: int | None
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        about = f"{where}: {self.path}: " if self.path else f"{where}: "
        hint = f"; did you mean '{self.suggestion}'?" if self.suggestion else ""
        return printable(f"{about}{self.message}{hint}")


def path_text(path: KeyPath) -> str:
    """`models.fast.members[1]` for `("models", "fast", "members", 1)`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def nearest(wrong: str, names: Iterable[str], likeness_01: float = NEAR_ENOUGH) -> str | None:
    """The name that is most like `wrong`, whatever its case and dashes; `None` when none is at least so like it."""
    by_form = {_form(name): name for name in reversed(list(names))}
    found = difflib.get_close_matches(_form(wrong[:256]), by_form, n=1, cutoff=likeness_01)
    return by_form[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """`'a', 'b'`: up to twenty names for a message."""
    return ", ".join(shown(name) for name in list(names)[:20])


def shown(value: object) -> str:
    """A value as a message may quote it, shortened. What came from the environment is not quoted."""
    if isinstance(value, FromEnv):
        return f"the value of env:{value.variable}"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{_short(printable(value))}'"
    try:
        return _short(str(value))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a very long number"


def is_secret(path: KeyPath) -> bool:
    """Whether what stands there, or below, may be a credential."""
    return not SECRET_KEYS.isdisjoint(path)


def printable(text: str) -> str:
    """The text on one line: control characters as escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def _form(name: str) -> str:
    return name.lower().replace("-", "_")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
