"""When do two short answers mean the same? Each is brought to one canonical spelling, so that equality decides."""

import json
import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

ANSWER_CHARS = 80  # a longer "answer" is prose: comparing prose letter by letter would only find disagreement
ANSWER_WORDS = 12

_OPTION = re.compile(r"(?:[Oo]ption|[Cc]hoice)?\s*(?:\(([A-J]|[a-j](?=\)$))\)|\[([A-J])\]|([A-J])(?=$|[.):](?:\s|$)))")
_TRUTH = re.compile(r"(yes|no|true|false)\b(?!-)", re.IGNORECASE)
_NUMERAL = r"\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
NUMBER = re.compile(rf"[-−+]?\s?[$€£¥]?\s?[-−]?(?:{_NUMERAL})")
_MEASURE = re.compile(
    rf"""(?:about|approximately|exactly|[≈~=])?\s*
    (?P<sign>[-−+])?\s*(?:[$€£¥]|US\$|USD|EUR|Rs\.?)?\s*(?P<minus>[-−])?
    (?P<number>{_NUMERAL})
    (?:\s*(?:[eE]|[x×*·]\s*10\s*\^?)\s*\{{?(?P<exponent>[-−+]?\d{{1,3}})\}}?(?![\d.]))?
    (?:\s*/\s*(?P<denominator>\d{{1,15}})|\s+(?P<over>\d{{1,15}})/(?P<under>\d{{1,15}}))?
    \s*(?P<unit>[%°$€£¥]?\s*(?:[^\W\d_][\w./²³^°'-]*(?:\s+[^\W\d_][\w./²³^-]*){{0,4}})?)
    (?:\s*\([^()]*\))?$""",
    re.VERBOSE,
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d.]+)\s*\}\s*\{\s*(-?[\d.]+)\s*\}")
_LATEX_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed|mbox|operatorname)\s*\{([^{}]*)\}")
_LATEX_NOISE = re.compile(r"\\[,!;: ]|\\(?:left|right|quad|displaystyle)\b|\\[()\[\]]")
_LATEX_SYMBOLS = {r"\$": "$", r"\%": "%", r"\times": "×", r"\cdot": "·", r"^\circ": "°", r"^{\circ}": "°", "{,}": ","}
_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)}
_VULGAR_FRACTION = re.compile("[¼½¾⅐-⅞]")
_PARENTHESISED = re.compile(r"\([^(),]*\)")
_SPACES = re.compile(r"\s+")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CLOCK_TIMES = {"am", "pm", "a.m", "p.m"}
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_WORDS)}
_PYTHON_TO_JSON = str.maketrans({"'": '"', "(": "[", ")": "]"})
_PYTHON_NAMES = re.compile(r"\b(?:True|False|None)\b")
_JSON_NAMES = {"True": "true", "False": "false", "None": "null"}


def normalised(answer: str) -> str | None:
    """The canonical spelling of a short answer; `None` when nothing is left, or when it is prose.

    "(b)" becomes "B", "$1,234.50" and "1234.5 dollars" become "1234.5", "\\frac{1}{2}" becomes "0.5", "Yes, it does"
    becomes "yes", "['a', 1]" becomes '["a",1]', "**Paris.**" becomes "paris". A percentage keeps its number only.
    """
    bare = undressed(answer)
    if not bare:
        return None
    for reading in READINGS:
        if (found := reading(bare)) is not None:
            return found
    if len(bare) > ANSWER_CHARS or bare.count(" ") >= ANSWER_WORDS:
        return None
    return _SPACES.sub(" ", bare.casefold().strip(" .!?,;:\"'")) or None


def undressed(answer: str) -> str:
    """The answer without Markdown, LaTeX, quotes and closing punctuation around it."""
    bare = answer.strip()
    if "\\" in bare or "{,}" in bare:
        bare = _without_latex(bare)
    if not bare.isascii():
        bare = _VULGAR_FRACTION.sub(_vulgar_fraction, bare.translate(_FULL_WIDTH))
    bare = bare.replace("**", "").replace("__", "").strip(" \t\r\n`\"'*“”‘’")
    if len(bare) > 1 and bare[0] == bare[-1] == "$":
        bare = bare.strip("$ ")
    bare = bare.rstrip(" \t.,;!`\"'*").strip()
    if _PARENTHESISED.fullmatch(bare) and not _OPTION.fullmatch(bare):
        return bare[1:-1].strip()
    return bare


def option_letter(bare: str) -> str | None:
    """ "A" .. "J" where the answer is, or starts with, the letter of an option."""
    found = _OPTION.match(bare)
    return None if found is None else (found[1] or found[2] or found[3]).upper()


def truth(bare: str) -> str | None:
    """ "yes", "no", "true" or "false" where the answer starts with that word and goes on as a remark, if at all."""
    found = _TRUTH.match(bare)
    if found is None or bare[found.end() : found.end() + 1] not in ("", ",", ".", ";", ":", "!"):
        return None
    return found[1].lower()


def number(bare: str) -> str | None:
    """A number with what may stand around it (currency, unit, separators), as a plain decimal or a reduced fraction.

    Of an equation the last side counts: "6 * 7 = 42" is 42.
    """
    left, equals, right = bare.rpartition("=")
    if equals and ", " not in left:  # "x = 1, y = 2" are two answers
        bare = right.strip()
    if bare.casefold() in _NUMBER_WORDS:
        return _NUMBER_WORDS[bare.casefold()]
    found = _MEASURE.match(bare) if len(bare) <= ANSWER_CHARS else None
    unit = found["unit"].casefold().partition(" ")[0] if found else ""
    if found is None or unit in _CLOCK_TIMES:
        return None
    value = _SCALES.get(unit, 1) * Fraction(found["number"].replace(",", "").replace(" ", ""))
    if found["exponent"]:
        value *= Fraction(10) ** int(found["exponent"].replace("−", "-"))
    for above, below in (("", found["denominator"]), (found["over"], found["under"])):
        if below and int(below) == 0:
            return None
        if below:
            value = value + Fraction(int(above), int(below)) if above else value / int(below)
    negative = (found["sign"] in ("-", "−")) != (found["minus"] is not None)
    return _spelled(-value if negative else value)


def literal(bare: str) -> str | None:
    """A list, tuple or dict, in JSON or as Python prints it, as canonical JSON."""
    if bare[0] not in "[({":
        return None
    as_json = canonical_json(bare)
    if as_json is None:
        pythonic = _PYTHON_NAMES.sub(lambda name: _JSON_NAMES[name[0]], bare.translate(_PYTHON_TO_JSON))
        as_json = canonical_json(pythonic.replace(",]", "]"))
    return as_json


def canonical_json(text: str) -> str | None:
    """The JSON value with keys sorted, no spaces, and 5.0 written as 5; `None` when `text` is not JSON."""
    try:
        value = json.loads(text, parse_float=_number_value)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):  # RecursionError: ten thousand brackets are not an answer
        return None


READINGS: tuple[Callable[[str], str | None], ...] = (option_letter, truth, number, literal)
"""How a bare answer may be read, in this order; the first that understands it decides."""


def _without_latex(bare: str) -> str:
    for symbol, plain in _LATEX_SYMBOLS.items():
        bare = bare.replace(symbol, plain)
    bare = _LATEX_FRACTION.sub(r"\1/\2", bare)
    bare = _LATEX_NOISE.sub("", bare)
    return _LATEX_WRAPPER.sub(r"\1", bare).strip()


def _vulgar_fraction(sign: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", sign[0]).replace("\u2044", "/")


def _number_value(digits: str) -> float | int:
    value = float(digits)
    return int(value) if value.is_integer() else value


def _spelled(value: Fraction) -> str:
    """A whole number or a terminating decimal where it is one, "a/b" where not."""
    if value.denominator == 1:
        return str(value.numerator)
    odd_part, twos, fives = value.denominator, 0, 0
    while odd_part % 2 == 0:
        odd_part, twos = odd_part // 2, twos + 1
    while odd_part % 5 == 0:
        odd_part, fives = odd_part // 5, fives + 1
    if odd_part != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
