"""Do two free texts mean the same? By static word embeddings where those are installed, by common words otherwise."""

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, Final

from actors.ensembling.agreement import token_overlap

log = logging.getLogger("troupe.ensembling")

EMBEDDED_CHARS: Final = 8_000
TEXTS_KEPT: Final = 1_024

Vector = Any
Embed = Callable[[str], Vector]
"""A text's vector, of length 1."""


class Likeness:
    """How alike two texts are, 0..1, symmetric. `load` gives the embeddings, or raises `ImportError`.

    They are loaded in the background when they are first needed. Until then, and without them, words are compared.
    A cosine tells paraphrases, which common words do not; neither tells a text from its denial.
    """

    def __init__(self, load: Callable[[], Embed] | None = None) -> None:
        self._load = load or static_embeddings
        self._embed: Embed | None = None
        self._loading: Thread | None = None

    def __call__(self, one: str, other: str) -> float:
        if self._loading is None:
            self._loading = Thread(target=self.load, name="embeddings", daemon=True)
            self._loading.start()
        if self._embed is None:
            return token_overlap(one, other)
        return min(1.0, max(0.0, float(self._embed(one) @ self._embed(other))))

    def load(self) -> None:
        """Loads the embeddings now."""
        try:
            self._embed = lru_cache(TEXTS_KEPT)(self._load())
        except ImportError:
            log.info("free texts are compared by their words: raytroupe[embeddings] is not installed")


def static_embeddings() -> Embed:
    """WordLlama's vectors of 256 numbers. Takes a second, and 0.02 ms a text then; raises `ImportError`.

    A text is the mean of its tokens' vectors, which were taken from large language models.
    Source: https://github.com/dleemiller/WordLlama
    """
    import wordllama

    folder = Path(wordllama.__file__).parent  # has its vectors with it: nothing is fetched
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda text: model.embed(text[:EMBEDDED_CHARS], norm=True)[0]
