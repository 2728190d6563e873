"""Where does a contestant take requests, and what is asked of it?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

QUESTION = "What is 17 + 28? "
FILLER = "word "


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a contestant's chat completions, and what a request to it needs.

    `ensemble`: the name of a model of three members, where there is such a thing.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ensemble: str | None = None

    @property
    def base_url(self) -> str:
        """As a gateway's configuration names an upstream: with `/v1`."""
        return self.url.removesuffix("/chat/completions")


def request_body(model: str, size_bytes: int = 1024, **parameters: object) -> bytes:
    """A chat request of exactly `size_bytes` bytes, or the shortest there is if that is longer."""

    def encoded(text: str) -> bytes:
        message = {"role": "user", "content": text}
        return json.dumps({"model": model, "messages": [message], **parameters}).encode()

    missing = max(0, size_bytes - len(encoded(QUESTION)))
    return encoded(QUESTION + (FILLER * (missing // len(FILLER) + 1))[:missing])
