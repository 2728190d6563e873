"""How many tokens were consumed where no upstream has counted them?"""

import logging
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any, Final

from actors.protocol.messages import JsonObject, Usage

log = logging.getLogger("troupe.tokens")

ENCODING: Final = "o200k_base"
COUNTED_CHARS: Final = 32_000  # of one text; the rest is taken to have as many tokens per character
PER_MESSAGE: Final = 3  # what sets a message apart, and once more for the answer
PER_IMAGE: Final = 85  # what the smallest costs
ASCII_CHARS_PER_TOKEN: Final = 4.0
OTHER_CHARS_PER_TOKEN: Final = 1.5

Count = Callable[[str], int]


class TokenCounter:
    """Counts what a chat completion has consumed, as an estimate. `load` gives the tokenizer, or raises `ImportError`.

    The tokenizer is loaded in the background when it is first needed. Until then, and without one, characters are
    counted instead.

    Source: the tokens around messages, OpenAI cookbook, "How to count tokens with tiktoken"; other providers' models
    have other tokenizers, so for them it is a guess at any rate.
    """

    def __init__(self, load: Callable[[], Count] | None = None) -> None:
        self._load = load or tokenizer
        self._count: Count = count_by_chars
        self._loading: Thread | None = None

    def __call__(self, body: JsonObject, text: str) -> Usage:
        """The usage of a request with that answer, of which `text` is as much as was received."""
        if self._loading is None:
            self._loading = Thread(target=self.load, name="tokenizer", daemon=True)
            self._loading.start()
        prompt = PER_MESSAGE
        for part in parts_of_prompt(body):
            prompt += part if isinstance(part, int) else self._tokens(part)
        return Usage(prompt, self._tokens(text), estimated=True)

    def load(self) -> None:
        """Loads the tokenizer now."""
        try:
            self._count = self._load()
        except ImportError:
            log.info("tokens that no upstream counts are estimated by characters: raytroupe[tokens] is not installed")

    def _tokens(self, text: str) -> int:
        if len(text) <= COUNTED_CHARS:
            return self._count(text)
        return round(self._count(text[:COUNTED_CHARS]) * len(text) / COUNTED_CHARS)


def tokenizer() -> Count:
    """A counter by the vocabulary of OpenAI's newer models. Takes half a second and 140 MB; raises `ImportError`."""
    import bpe_openai  # has its vocabularies with it: nothing is fetched

    encode = bpe_openai.get_encoding(ENCODING).encode_ordinary
    return lambda text: len(encode(text))


def count_by_chars(text: str) -> int:
    """A guess by length: English has about four characters to a token, other scripts far fewer."""
    others = 0 if text.isascii() else sum(not char.isascii() for char in text)
    return round((len(text) - others) / ASCII_CHARS_PER_TOKEN + others / OTHER_CHARS_PER_TOKEN)


def parts_of_prompt(body: JsonObject, per_image: int = PER_IMAGE) -> Iterator[str | int]:
    """The texts of a prompt, and how many tokens everything has that is none."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield PER_MESSAGE
            yield from _contents(message.get("content"), per_image)
            if message.get("tool_calls"):
                yield str(message["tool_calls"])
    for name in ("tools", "functions", "response_format"):
        if body.get(name):
            yield str(body[name])


def _contents(content: Any, per_image: int) -> Iterator[str | int]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, dict) else None
        yield text if isinstance(text, str) else per_image
