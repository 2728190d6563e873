"""How good does one answer look, without anybody judging what it says?"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from actors.ensembling.flaws import loops
from actors.ensembling.language import language_of
from actors.ensembling.wanted import wanted_by
from actors.protocol.messages import JsonObject
from actors.protocol.sending import Sendable

Flaw = Literal["empty", "refused", "off_schema", "looping", "truncated", "other_language"]

FACTORS: Final[Mapping[Flaw, float]] = {
    "empty": 0.0,
    "refused": 0.2,
    "off_schema": 0.2,
    "looping": 0.3,
    "other_language": 0.5,
    "truncated": 0.6,
}
"""What an answer keeps of its score for each flaw. They order answers; nothing was fitted."""

REFUSES_WITHIN_CHARS: Final = 200
PHRASE_WORDS: Final = 5
LOOKED_AT_WORDS: Final = 400
LEAST_PHRASES: Final = 40
REPEATED_SHARE_01: Final = 0.5

_REFUSALS: Final = re.compile(
    r"""\bi(?:['’]m|\ am)\ (?:sorry|unable|not\ able)\b .{0,40} \b(?:can(?:['’]t|not)|unable|not\ able|won['’]t)\b
    | \bi\ (?:can(?:['’]t|not)|won['’]t|am\ (?:unable|not\ able)\ to)\ (?:help|assist|comply|provide|answer|do\ that)
    | \bas\ an\ ai(?:\ language)?\ model\b
    | \bes\ tut\ mir\ leid\b .{0,40} \b(?:kann|nicht)\b
    | \bich\ kann\ (?:dir|ihnen)?\ ?(?:dabei|damit)\ (?:leider\ )?nicht\b
    | \bje\ (?:suis\ désolée?|regrette)\b .{0,40} \bpeux\ pas\b | \bje\ ne\ peux\ pas\ (?:vous\ )?aider\b
    | \blo\ siento\b .{0,40} \bno\ puedo\b | \bmi\ dispiace\b .{0,40} \bnon\ posso\b
    | \b(?:desculpe|lamento)\b .{0,40} \bnão\ posso\b | \bне\ могу\ (?:помочь|ответить|выполнить)
    | (?:抱歉|对不起).{0,20}(?:无法|不能) | (?:申し訳|すみません).{0,30}(?:できません|お答え)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Said:
    """One answer and what it is judged by. `agreement_01`: the share of an ensemble's votes that say the same."""

    backend: str
    body: JsonObject = field(repr=False)
    text: str = field(repr=False)
    finish_reason: str | None
    calls_tools: bool = False
    refused: bool = False
    agreement_01: float | None = None


@dataclass(slots=True)
class Quality(Sendable):
    """How good an answer looks, 0..1, higher is better, and what speaks against it; not a word of it."""

    backend: str
    score_01: float
    flaws: Sequence[Flaw] = ()
    chars: int = 0


def quality_of(said: Said) -> Quality:
    """1 for an answer without a flaw, times the factor of each; half of the rest goes with the votes against it."""
    flaws = tuple(_flaws(said))
    agreed = 1.0 if said.agreement_01 is None else 0.5 + 0.5 * said.agreement_01
    return Quality(said.backend, agreed * math.prod(FACTORS[flaw] for flaw in flaws), flaws, len(said.text))


def _flaws(said: Said) -> Iterator[Flaw]:
    text, wanted = said.text, wanted_by(said.body)
    if said.refused or said.finish_reason == "content_filter" or _REFUSALS.search(text[:REFUSES_WITHIN_CHARS]):
        yield "refused"
    elif not text.strip() and not said.calls_tools:
        yield "empty"
    elif not said.calls_tools and wanted.flaw_of(text) is not None:
        yield "off_schema"
    if said.finish_reason == "length":
        yield "truncated"
    if loops(text) or _repeats(text):
        yield "looping"
    if text and not wanted.as_json and _is_in_another_language(said.body, text):
        yield "other_language"


def _repeats(text: str) -> bool:
    """Whether more than half of its phrases of five words, in the last 400, were said before."""
    words = text.rsplit(maxsplit=LOOKED_AT_WORDS)[-LOOKED_AT_WORDS:]
    phrases = list(zip(*(words[start:] for start in range(PHRASE_WORDS)), strict=False))
    return len(phrases) >= LEAST_PHRASES and len(set(phrases)) < len(phrases) * (1 - REPEATED_SHARE_01)


def _is_in_another_language(body: JsonObject, text: str) -> bool:
    """Whether the answer is clearly in another language than the last question, where both can be told."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return False
    contents = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    if not contents or not isinstance(contents[-1], str):
        return False
    asked = language_of(contents[-1])
    answered = None if asked is None else language_of(text)
    return answered is not None and answered != asked
