"""How does a whole answer look as a stream?"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

import orjson

from actors.protocol.messages import Answer, Chunk, JsonObject, Usage


class Sent:
    """What a caller has read of an answer so far: its text, and whether that is all that there was.

    `first`: the first event, whose id the rest must carry.
    """

    __slots__ = ("first", "is_plain", "texts")

    def __init__(self) -> None:
        self.first = b""
        self.texts: list[str] = []
        self.is_plain = True

    def note(self, chunk: Chunk) -> None:
        """To be called with each chunk that is sent."""
        if not self.first:
            self.first = chunk.data
        if chunk.text:
            self.texts.append(chunk.text)
        if not chunk.is_plain:
            self.is_plain = False

    @property
    def text(self) -> str:
        return "".join(self.texts)


def as_chunks(body: JsonObject, usage: Usage | None) -> Iterator[Chunk]:
    """A completion's events: role, content, refusal, tool calls, finish, and usage if it is given."""
    frame = {key: body[key] for key in ("id", "created", "model") if key in body} | {"object": "chat.completion.chunk"}
    choice = body["choices"][0]
    message: Mapping[str, Any] = choice["message"]

    def event(delta: JsonObject, finish_reason: str | None = None) -> bytes:
        return orjson.dumps({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    yield Chunk(event({"role": "assistant", "content": ""}))
    if message.get("content"):
        yield Chunk(event({"content": message["content"]}), text=str(message["content"]))
    for key in ("refusal", "reasoning_content"):
        if message.get(key):
            yield Chunk(event({key: message[key]}), is_plain=False)
    if message.get("tool_calls"):
        calls = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
        yield Chunk(event({"tool_calls": calls}), is_plain=False)
    finish_reason = choice.get("finish_reason") or "stop"
    yield Chunk(event({}, finish_reason), finish_reason=finish_reason)
    if usage is not None:
        yield Chunk(orjson.dumps({**frame, "choices": [], "usage": usage.as_json()}), usage=usage)


def is_bare_usage(chunk: Chunk) -> bool:
    """Whether an event carries usage and nothing else, as OpenAI sends it last."""
    if chunk.usage is None or chunk.text or chunk.finish_reason is not None:
        return False
    return not orjson.loads(chunk.data).get("choices")


async def replayed(answer: Answer) -> AsyncGenerator[Chunk, None]:
    """The answer as a stream that is there at once."""
    for chunk in as_chunks(answer.completion.body, answer.completion.usage):
        yield chunk
