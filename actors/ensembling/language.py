"""In which language is a text written? A cheap guess, or none: by its script, or in Latin script its small words."""

import re
from collections import Counter
from typing import Final

LOOKED_AT_CHARS: Final = 1_000
LEAST_LETTERS: Final = 12
LEAST_WORDS: Final = 3  # of one language
CLEARLY: Final = 2.0  # as many as of the next language

_SCRIPTS: Final = (
    ("ja", re.compile("[぀-ヿ]")),  # before Chinese: Japanese has its characters, too
    ("zh", re.compile("[一-鿿]")),
    ("ko", re.compile("[가-힯]")),
    ("ru", re.compile("[Ѐ-ӿ]")),
    ("ar", re.compile("[؀-ۿ]")),
    ("he", re.compile("[֐-׿]")),
    ("el", re.compile("[Ͱ-Ͽ]")),
    ("hi", re.compile("[ऀ-ॿ]")),
    ("th", re.compile("[฀-๿]")),
)
_SCRIPT_SHARE_01: Final = 0.25  # text about code or products has many Latin letters in any language
_LETTERS: Final = re.compile(r"[^\W\d_]")
_WORDS: Final = re.compile(r"[^\W\d_]+")

_SMALL_WORDS: Final = {
    "en": "the of and to is that it was for on are with as his they at be this have from or had by but what "
    "some we can were there your when how which their if will not",
    "de": "der die das und ist nicht ein eine zu den mit von sich auf für es im dem wie auch nach bei aus wird "
    "sind oder einen wenn ich sie war dass kann",
    "fr": "le la les des et est une un du que qui dans pour pas au sur ce avec il elle sont par plus ne vous "
    "nous cette être ou mais comme aux",
    "es": "el los las y es una un del que en por para con no se su al lo como más pero sus le ya este sí porque "
    "esta son entre cuando muy",
    "it": "il gli e è una un di che per non con del della sono si alla anche come più nel dei questo ma ha le "
    "cui tra quando essere",
    "pt": "o os as e é uma um do da que em para com não se por mais como dos das ao na no mas foi são ou ser "
    "quando muito você também",
    "nl": "de het een en van is dat niet op te zijn met voor in er aan ook als maar bij door naar dan wat nog deze kan",
}
_LANGUAGES_OF: Final = {
    word: tuple(language for language, words in _SMALL_WORDS.items() if word in words.split())
    for words in _SMALL_WORDS.values()
    for word in words.split()
}


def language_of(text: str) -> str | None:
    """Its ISO 639-1 code where the first 1,000 characters leave no doubt, else `None`: short texts, code, mixtures."""
    looked_at = text[:LOOKED_AT_CHARS]
    letters = len(_LETTERS.findall(looked_at))
    if not looked_at.isascii() and letters:
        for language, script in _SCRIPTS:
            found = len(script.findall(looked_at))
            if found >= 4 and found >= letters * _SCRIPT_SHARE_01:
                return language
    if letters < LEAST_LETTERS:
        return None
    counts = Counter(
        language for word in _WORDS.findall(looked_at.casefold()) for language in _LANGUAGES_OF.get(word, ())
    )
    (best, most), *others = counts.most_common(2) or [("", 0)]
    return best if most >= max([LEAST_WORDS, *(count * CLEARLY for _, count in others)]) else None
