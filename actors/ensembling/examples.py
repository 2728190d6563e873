"""Which examples does a question give of the code that it asks for, and which code does a reply hold?

Only text is looked at: nothing here parses or runs the code of a model, which happens where it can do no harm.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from actors.protocol.trials import Trial

MAX_CHECKS = 64
CHECK_CHARS = 2_000
CODE_CHARS = 100_000
QUESTION_CHARS = 50_000  # of a longer conversation the end is searched
LINES_OF_AN_ASSERT = 8
LINES_TRIED = 250  # that look like an example; with those below it bounds the time that a hostile question takes
LINE_CHARS = 500
CALLS_OF_A_LINE = 4

_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
_GIVES = re.compile(
    r"""\s*(?:={1,3}>|==?|-+>|[➞→⇒↦]|\#\s*(?:[-=]+>|==?|returns?)?
    |\b(?:returns?|gives|equals|is|should\ (?:return|be|equal|give))\b)[\s:]*""",
    re.VERBOSE,
)
_SCALAR = re.compile(
    r"""[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[bru]?"(?:[^"\\\n]|\\.)*"|[bru]?'(?:[^'\\\n]|\\.)*'
    |\b(?:True|False|None|true|false|null)\b""",
    re.VERBOSE,
)
_GOES_ON = re.compile(r"\s*[-+*/%=<>|&^]|[\w(\[]")
_FENCED = re.compile(r"```[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_PYTHON = ("", "python", "py", "python3", "pycon")
_CODE_BEGINS = re.compile(
    r"^(?:from[ \t]+\w|import[ \t]+\w|(?:async[ \t]+)?def[ \t]+\w|class[ \t]+\w|@\w)", re.MULTILINE
)
_LOOKS_LIKE_CODE = re.compile(r"^[ \t]*(?:def|class|return|import|from|for|while|if)\b|\blambda\b", re.MULTILINE)
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
_THOUGHT_END = "</think>"


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user has said, all turns together; at most the last `QUESTION_CHARS` characters."""
    said = []
    for message in messages:
        content = message.get("content") if message.get("role") == "user" else None
        if isinstance(content, str):
            said.append(content)
        elif isinstance(content, list):
            said += [str(part["text"]) for part in content if isinstance(part, dict) and "text" in part]
    return "\n\n".join(said)[-QUESTION_CHARS:]


def checks_in(question: str) -> list[str]:
    """The examples of a question as Python statements that raise unless the code does what the example shows.

    Doctests, asserts, and lines such as `f(2) == 4`, `f(2) => 4`, `f(2) returns 4`. `shown(function)` in a statement
    is what a console would show of calling it. At most `MAX_CHECKS`, each once, in the question's order.
    """
    own = set(_DEFINED.findall(question))
    lines = question.splitlines()
    found: list[str] = []
    number = 0
    setup: list[str] = []
    tries = LINES_TRIED
    while number < len(lines) and tries:
        bare = lines[number].strip()
        tries -= bare.startswith((">>>", "assert ")) or "(" in bare
        if bare.startswith(">>>"):
            number, source, want = _console(lines, number)
            found += _doctest(source, want, setup)
            continue
        setup = []
        if bare.startswith("assert ") and (taken := _assertion(lines, number)):
            found.append("\n".join(lines[number : number + taken]).strip())
            number += taken
            continue
        found += _stated(bare, own)
        number += 1
    return [check for check in dict.fromkeys(found) if len(check) <= CHECK_CHARS][:MAX_CHECKS]


def code_in(question: str) -> str:
    """The code that a question itself holds: its Python blocks, or all from its first line of code on."""
    blocks = _blocks(question)
    if blocks:
        return "\n\n".join(blocks)[:CODE_CHARS]
    begin = _CODE_BEGINS.search(question)
    return question[begin.start() :][:CODE_CHARS] if begin else ""


def holds_code(reply: str) -> bool:
    """Whether a reply has a Python block in it, or lines that look like Python."""
    return bool(_blocks(reply)) or _LOOKS_LIKE_CODE.search(reply) is not None


def trial_of(reply: str, prelude: str, checks: Sequence[str]) -> Trial | None:
    """How the code of a reply is to be tried; `None` where it holds none.

    Its Python blocks together or one by one, the last first; without blocks all of it, by itself or as what follows
    the question's code.
    """
    said = reply.rpartition(_THOUGHT_END)[2][:CODE_CHARS]
    blocks = _blocks(said)
    if blocks:
        programs = ["\n\n".join(blocks), *reversed(blocks)]
        return Trial(prelude, (*dict.fromkeys(programs), f"{prelude}\n{blocks[-1]}"), tuple(checks))
    if not _LOOKS_LIKE_CODE.search(said):
        return None
    return Trial(prelude, (said.strip("\n"), f"{prelude}\n{said}"), tuple(checks))


def _blocks(text: str) -> list[str]:
    return [block for language, block in _FENCED.findall(text) if language.lower() in _PYTHON and block.strip()]


def _console(lines: Sequence[str], number: int) -> tuple[int, str, str]:
    """The next line after one example of a console, its source, and what it shows."""
    source = [lines[number].strip()[3:].strip()]
    number += 1
    while number < len(lines) and lines[number].strip().startswith("..."):
        source.append(lines[number].strip()[3:].removeprefix(" "))
        number += 1
    want: list[str] = []
    while number < len(lines):
        bare = lines[number].strip()
        if not bare or bare.startswith((">>>", '"""', "'''", "```")):
            break
        want.append(bare.removesuffix('"""').removesuffix("'''").rstrip())
        number += 1
    return number, "\n".join(source), "\n".join(want)


def _doctest(source: str, want: str, setup: list[str]) -> Iterator[str]:
    """The check of one example; what shows nothing is the `setup` of those that follow."""
    if not want and _compares(source):  # people write the result into the example itself
        yield "\n".join([*setup, f"assert {source}"])
    elif not want:
        setup.append(source)
    elif _parses(source, "eval") and not want.startswith("Traceback"):
        compared = not source.startswith("print(") and _parses(want, "eval")
        check = f"assert ({source}) == ({want})" if compared else f"assert shown(lambda: ({source})) == {want!r}"
        yield "\n".join([*setup, check])


def _assertion(lines: Sequence[str], number: int) -> int:
    """How many lines the assertion takes that begins there; 0 where it is none."""
    for taken in range(1, min(LINES_OF_AN_ASSERT, len(lines) - number) + 1):
        if _parses("\n".join(lines[number : number + taken]).strip(), "exec"):
            return taken
    return 0


def _stated(line: str, own: set[str]) -> Iterator[str]:
    """The check of a line that shows a call of the wanted function and, in whatever notation, its result."""
    for call in islice(_CALL.finditer(line[:LINE_CHARS]), CALLS_OF_A_LINE):
        is_wanted = call[1] in own if own else not hasattr(builtins, call[1])
        end = _closing(line[:CHECK_CHARS], call.end() - 1) if is_wanted else None
        gives = None if end is None else _GIVES.match(line, end)
        value = None if gives is None else _value(line, gives.end())
        if value is not None and end is not None and _parses(line[call.start() : end], "eval"):
            yield f"assert {line[call.start() : end]} == {value}"
            return


def _value(line: str, start: int) -> str | None:
    """The Python value that stands there, as it is written."""
    scalar = _SCALAR.match(line, start)
    end = _closing(line, start) if line[start : start + 1] in _CLOSED_BY else scalar.end() if scalar else None
    if end is None or _GOES_ON.match(line, end) or not _parses(line[start:end], "eval"):
        return None
    return line[start:end]


def _closing(line: str, start: int) -> int | None:
    """Where what is bracketed from `start` on has ended, brackets in strings left out; `None`: not in this line."""
    open_brackets: list[str] = []
    quote = ""
    place = start
    while place < len(line):
        character = line[place]
        if quote:
            place += character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _CLOSED_BY:
            open_brackets.append(_CLOSED_BY[character])
        elif character in ")]}":
            if character != open_brackets.pop():
                return None
            if not open_brackets:
                return place + 1
        place += 1
    return None


def _compares(source: str) -> bool:
    return _parses(source, "eval") and isinstance(ast.parse(source, mode="eval").body, ast.Compare)


def _parses(source: str, mode: str) -> bool:
    try:
        ast.parse(source[:CHECK_CHARS], mode=mode)
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # what is nested too deeply is no example
        return False
    return True
