"""What is wrong with an answer, whatever it says?"""

import re
from collections.abc import Mapping
from typing import Literal

Flaw = Literal["empty", "refused", "malformed", "invalid", "truncated", "looping", "off_language", "copy"]

FLAW_FACTORS: Mapping[Flaw, float] = {
    "empty": 0.01,
    "refused": 0.1,
    "malformed": 0.1,
    "invalid": 0.1,
    "truncated": 0.5,
    "looping": 0.3,
    "off_language": 0.5,
    "copy": 0.05,
}
"""How much of its weight a flawed answer keeps. Never 0: the only answer there is must be able to win."""

LOOP_CHARS = 40
LOOPS = 4  # a list may say a thing three times
MOSTLY_ASCII = 1.3  # bytes per character up to which a text is in Latin script, accents and dashes included
SCRIPT_CHARS = 2_000
LETTERS = 12  # fewer do not make a language

_LATIN_LETTERS = re.compile(rf"(?:[^A-Za-zÀ-ɏ]*[A-Za-zÀ-ɏ]){{{LETTERS}}}")
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "latin": re.compile(r"[A-Za-zÀ-ɏ]"),
    "greek": re.compile(r"[Ͱ-Ͽ]"),
    "cyrillic": re.compile(r"[Ѐ-ԯ]"),
    "hebrew": re.compile(r"[֐-׿]"),
    "arabic": re.compile(r"[؀-ۿ]"),
    "indic": re.compile(r"[ऀ-෿]"),
    "thai": re.compile(r"[฀-๿]"),
    "hangul": re.compile(r"[가-힯]"),
    "chinese or japanese": re.compile(r"[぀-ヿ一-鿿]"),
}


def loops(text: str) -> bool:
    """Whether a text ends in one piece of up to 400 characters that is said four times over, 160 characters in all."""
    if len(text) < LOOP_CHARS * (LOOPS + 1):
        return False
    end = text[-LOOP_CHARS:]
    before = text.rfind(end, 0, len(text) - 1)
    period = len(text) - LOOP_CHARS - before
    if before < 0 or period > LOOP_CHARS * 10:
        return False
    tail = text[-max(period, LOOP_CHARS) * LOOPS :]
    return len(tail) >= period * LOOPS and tail[period:] == tail[:-period]


def script_of(text: str) -> str | None:
    """The script in which a text is written; `None` for one of few letters, such as a number."""
    if len(text) < LETTERS:
        return None
    start = text[:SCRIPT_CHARS]
    if start.isascii() or len(start.encode(errors="replace")) <= MOSTLY_ASCII * len(start):
        return "latin" if _LATIN_LETTERS.match(start, 0, 4 * LETTERS) else None
    counts = {script: len(letters.findall(start)) for script, letters in _SCRIPTS.items()}
    script = max(counts, key=lambda name: counts[name])
    return script if counts[script] >= LETTERS else None
