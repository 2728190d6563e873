"""Which questions is the task detector trained on?"""

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PHRASES: Final = Path(__file__).parent / "phrases"
SHARED: Final = "shared"
LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja")

Sections = Mapping[str, list[str]]

_SLOT = re.compile(r"\{([a-z]+)\}")
_NUMBERS: Final = {"a": (12, 500), "b": (3, 60), "c": (2, 9)}
_OPENINGS: Final = (
    "",
    "",
    "",
    "",
    "",
    "",
    "please ",
    "Hi, ",
    "Hello! ",
    "Can you help? ",
    "ok ",
    "Question: ",
    "Q: ",
    "> ",
)


class Example(NamedTuple):
    """`template`: which line it was made from, so that a test can be kept apart from what was learned."""

    text: str
    task_type: str
    language: str
    template: str


def sections(path: Path) -> dict[str, list[str]]:
    """The lines under each `[name]` of a file; empty ones and those that begin with `# ` left out."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("[") and line.endswith("]") and len(line) > 2 and '"' not in line:
            lines = found.setdefault(line[1:-1], [])
        elif line and not line.startswith("# "):
            lines.append(line.replace("\\n", "\n"))
    return found


def examples(fills: int, seed: int) -> Iterator[Example]:
    """Every template of every language with its slots filled in `fills` ways, the same for the same seed."""
    rng = random.Random(seed)
    shared = sections(PHRASES / f"{SHARED}.txt")
    by_language = {language: sections(PHRASES / f"{language}.txt") for language in LANGUAGES}
    for language, own in by_language.items():
        foreign = [text for other, one in by_language.items() if other != language for text in one["@text"]]
        fillers = {**shared, **own, "@foreign": foreign}
        for task_type, templates in own.items():
            if not task_type.startswith("@"):
                yield from _filled(language, task_type, templates, fillers, fills, rng)
    yield from _filled("-", "unknown", shared["unknown"], shared, 3 * fills, rng)


def _filled(
    language: str, task_type: str, templates: list[str], fillers: Sections, fills: int, rng: random.Random
) -> Iterator[Example]:
    for template in templates:
        tries = fills * (1 + len(_SLOT.findall(template)))
        texts = {_dressed(_fill(template, fillers, rng), language, rng) for _ in range(tries)}
        for text in sorted(texts):
            yield Example(text, task_type, language, template)


def _fill(template: str, fillers: Sections, rng: random.Random) -> str:
    def value(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot in _NUMBERS:
            return str(rng.randint(*_NUMBERS[slot]))
        if slot in _NOISE:
            return _NOISE[slot](rng)
        if slot == "text" and rng.random() < 0.4:
            return _passage(fillers["@text"], rng)
        return _fill(rng.choice(fillers[f"@{slot}"]), fillers, rng)

    return _SLOT.sub(lambda match: value(match) if _known(match.group(1), fillers) else match.group(0), template)


def _known(slot: str, fillers: Sections) -> bool:
    return slot in _NUMBERS or slot in _NOISE or f"@{slot}" in fillers


def _passage(texts: list[str], rng: random.Random) -> str:
    """Some sentences of several texts in a row, so that no passage stands for a task."""
    found = [sentence for text in rng.sample(texts, min(3, len(texts))) for sentence in re.split(r"(?<=[.!?。])", text)]
    begin = rng.randrange(len(found))
    return "".join(found[begin : begin + rng.randint(1, 6)]).strip()


def _dressed(text: str, language: str, rng: random.Random) -> str:
    if language == "en":
        text = rng.choice(_OPENINGS) + text
    if rng.random() < 0.2:
        text = text.lower()
    if rng.random() < 0.2:
        text = text.rstrip("?.!。？！ ")
    return text


def _gibberish(rng: random.Random) -> str:
    return "".join(rng.choice("qwertyuiopasdfghjklzxcvbnm") for _ in range(rng.randint(2, 9)))


def _symbols(rng: random.Random) -> str:
    return rng.choice("#*%$&~^=+-_.,;:!?/") * rng.randint(1, 8)


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(64):x}"


_NOISE: Final = {"gibberish": _gibberish, "symbols": _symbols, "hex": _hex}
