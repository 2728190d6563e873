"""What is the final answer of one reply, in a spelling that can be compared with another reply's?"""

import json
import re
from collections.abc import Callable, Mapping

from actors.ensembling.normalising import (
    ANSWER_CHARS,
    NUMBER,
    canonical_json,
    literal,
    normalised,
    option_letter,
    undressed,
)

WINDOW_CHARS = 20_000  # of a longer reply only the end is read: that is where answers stand, and time stays bounded
CLAIM_CHARS = 200
CLAIMS_TRIED = 8
SHORT_REPLY_CHARS = 60
SHORT_REPLY_WORDS = 5

_THOUGHT_END = "</think>"
_JSON_KEY = re.compile(r"""["'](final[_ ]?)?answer["']\s*:\s*""", re.IGNORECASE)
_JSON_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'([^'\n]*)")
_UNQUOTED = re.compile(r"[^,}\n]+(?:,\d{3}\b)*")
_BOXED = re.compile(r"\\f?boxed\s*(\{)?")
_CLAIM_WORD = re.compile(r"\b(?:answer|(?:correct|right|best) (?:option|choice)|answer choice)\b", re.IGNORECASE)
_CLAIM = re.compile(
    r"""(?:\ to\ (?:the|this)\ (?:question|problem))?[\s*_]*
    (?:[:=]|(?:is|are|was|would\ be|should\ be|must\ be)\b\s*(?:therefore|thus|then|simply|likely|indeed)?\s*[:=]?)
    [\s*_"]*(?P<rest>[^\n]+)""",
    re.VERBOSE,
)
_HEADING_CLAIM = re.compile(r"[*_#\s]*\n\s*(?P<rest>[^\n]+)")
_OPTION_CLAIM = re.compile(
    r"""(?:[Oo]ption\ |[Cc]hoice\ )?
    (?:\(([A-J])(?:\)|$)|\*\*([A-J])\b|([B-HJ])\b(?![-'’=])
    |([AI])(?=$|[.,;:)*]|\s+(?:because|since|as)\b))  # "A" and "I" are words as well""",
    re.VERBOSE,
)
_BRACKETED = re.compile(r"\([^()\n]*\)|\[[^\[\]\n]*\]")
_COPULA = re.compile(r"\b(?:is|are|was|were|equals)\s+(?!the |an? |not )(?=\S+(?: \S+){0,2}$)")
_CLAIM_END = re.compile(r"[.;!?](?:\s|$|\*)|,\s|\s(?:because|since|so that|which|where|as)\s")
_BOLD_OPTION = re.compile(r"\*\*\s*\(?([A-J])\)?[.:)]?\s*\*\*|\(([A-J])\)\W*$|\*\*\(?([A-J])[.)]\s[^*\n]*\*\*")
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_ENDED = tuple(".!?*$%0123456789")
_ARITHMETIC = re.compile(r"\d\s?%?\s?[-+*/×÷=x]\s?[$€£]?\d|=\s?[$€£]?\d")

Rule = Callable[[str], str | None]


def final_answer(text: str, rules: Mapping[str, Rule] | None = None) -> str | None:
    """The final answer that a reply states, normalised (see `normalising.normalised`).

    `None` when no rule finds one: then the reply does not vote by its answer. The first rule that finds something
    decides; `rules` are `RULES` unless given. Time is linear in the text, of which at most `WINDOW_CHARS` are read.
    """
    said = text[-WINDOW_CHARS:].rpartition(_THOUGHT_END)[2].strip()
    if not said:
        return None
    for rule in (RULES if rules is None else rules).values():
        if (found := rule(said)) is not None:
            return found
    return None


def json_field(text: str) -> str | None:
    """The last `final_answer`, else the last `answer`, of a JSON object, whole or broken."""
    fields = list(_JSON_KEY.finditer(text)) if ":" in text else []
    fields.sort(key=lambda field: field[1] is not None)  # stable: the last one that is best named ends up last
    for field in reversed(fields[-CLAIMS_TRIED:]):
        if (found := _json_value(text[field.end() : field.end() + 2 * CLAIM_CHARS])) is not None:
            return found
    return None


def boxed(text: str) -> str | None:
    r"""What the last `\boxed{...}` holds (braces nest), unless an answer is claimed after it."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    opening = _BOXED.match(text, start) if start >= 0 else None
    if opening is None:
        return None
    if (overruled := claimed(text[opening.end() :])) is not None:
        return overruled
    inside = text[opening.end() : opening.end() + CLAIM_CHARS]
    return normalised(_before_closing_brace(inside) if opening[1] else inside.partition("\n")[0].partition("$")[0])


def hashes(text: str) -> str | None:
    """What follows the last `####`, where nothing follows that line: elsewhere it is a Markdown heading."""
    _, mark, rest = text.rpartition("####")
    return normalised(rest) if mark and "\n" not in rest.strip() else None


def claimed(text: str) -> str | None:
    """What the last "the (final, correct, ...) answer is ...", "Answer: ..." or heading "Final answer" says."""
    for word in reversed([found.end() for found in _CLAIM_WORD.finditer(text)][-CLAIMS_TRIED:]):
        claim = _CLAIM.match(text, word) or _HEADING_CLAIM.match(text, word)
        if claim is not None and (found := _claim_value(claim["rest"][:CLAIM_CHARS])) is not None:
            return found
    return None


def marked_option(text: str) -> str | None:
    """An option letter that stands at the start of the first or last line, or marked at the end: (A), A., **A**."""
    line = text.rpartition("\n")[2].strip()
    first, last = _leading_option(text.partition("\n")[0]), _leading_option(line)
    if first is not None and last is not None and first != last:
        return None  # the reply repeats the list of options
    if first is not None or last is not None:
        return last or first
    marks = list(_BOLD_OPTION.finditer(line))
    return next((letter for letter in marks[-1].groups() if letter), None) if marks else None


def short_reply(text: str) -> str | None:
    """A reply of a few words taken whole; of a short sentence what it says ("... is Paris"), or its single number."""
    if len(text) > SHORT_REPLY_CHARS or "\n" in text:
        return None
    bare = undressed(text)
    if bare.startswith(("{", "[")):
        return literal(bare)
    if (copula := _COPULA.search(bare)) and not _SENTENCE_END.search(bare):
        return _stated(bare[copula.end() :])
    return _stated(bare) if bare.count(" ") < SHORT_REPLY_WORDS else _single_number(bare)


def last_number(text: str) -> str | None:
    """The last number of the last sentence, where the reply clearly calculates, holds no code and is not cut off."""
    if "```" in text or not text.endswith(_ENDED) or _ARITHMETIC.search(text[-2_000:]) is None:
        return None
    sentence = _SENTENCE_END.split(text[-500:])[-1]
    numbers = NUMBER.findall(sentence)
    return normalised(numbers[-1]) if numbers else None


RULES: Mapping[str, Rule] = {
    "json_field": json_field,
    "boxed": boxed,
    "hashes": hashes,
    "claimed": claimed,
    "marked_option": marked_option,
    "short_reply": short_reply,
    "last_number": last_number,
}
"""Every way to find a final answer, the most explicit first: the order is the order of trust."""


def _stated(answer: str) -> str | None:
    """The answer normalised; of a sentence around a single number, the number."""
    whole = normalised(answer)
    if whole is None or " " in whole:
        return _single_number(answer) or whole
    return whole


def _single_number(sentence: str) -> str | None:
    numbers = NUMBER.findall(sentence[:CLAIM_CHARS])
    return normalised(numbers[0]) if len(numbers) == 1 else None


def _leading_option(line: str) -> str | None:
    bare = line.strip(" *_\r")
    return option_letter(bare) if len(bare) <= ANSWER_CHARS else None


def _before_closing_brace(inside: str) -> str:
    depth = 1
    for place, character in enumerate(inside):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return inside[:place]
    return ""


def _json_value(rest: str) -> str | None:
    if rest[:1] in ("[", "{"):
        try:
            value, _ = json.JSONDecoder().raw_decode(rest)
        except (ValueError, RecursionError):
            return None
        return canonical_json(json.dumps(value))
    string = _JSON_STRING.match(rest) or _SINGLE_QUOTED.match(rest)
    if string is not None:
        return _stated(_unescaped(string[1]))
    plain = _UNQUOTED.match(rest)
    return None if plain is None or plain[0].strip() in ("null", "None") else _stated(plain[0])


def _unescaped(string: str) -> str:
    """The text of a JSON string; in broken JSON `\\frac` and `\\boxed` are meant as they stand, not as controls."""
    if "\\u" in string:
        try:
            return str(json.loads(f'"{string}"', strict=False))
        except ValueError:
            return string
    return string.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")


def _claim_value(rest: str) -> str | None:
    if rest.lower().startswith(("not ", "unknown", "unclear")):
        return None
    option = _OPTION_CLAIM.match(rest)
    if option is not None:
        return next(letter for letter in option.groups() if letter)
    if (inside := boxed(rest)) is not None:
        return inside
    if bracketed := _BRACKETED.match(rest):
        return normalised(bracketed[0])
    end = _CLAIM_END.search(rest)
    return _stated(rest[: end.start()] if end else rest)
