"""How do tests ask through the official OpenAI client, and what did they get?"""

from collections.abc import Sequence
from typing import Any

from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

QUESTION = "What is 6 times 7?"


def ask(client: OpenAI, model: str, text: str = QUESTION, **parameters: Any) -> ChatCompletion:
    """The whole reply."""
    reply = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **parameters)
    assert isinstance(reply, ChatCompletion)
    return reply


def streamed(client: OpenAI, model: str, text: str = QUESTION, **parameters: Any) -> list[ChatCompletionChunk]:
    """All chunks of a streamed reply."""
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], stream=True, **parameters
    )
    assert isinstance(stream, Stream)
    with stream as chunks:
        return list(chunks)


def told(reply: BaseModel) -> dict[str, Any]:
    """The `troupe` object of a reply or a chunk."""
    assert reply.model_extra is not None
    troupe: dict[str, Any] = reply.model_extra["troupe"]
    return troupe


def text_of(reply: ChatCompletion | Sequence[ChatCompletionChunk]) -> str:
    if isinstance(reply, ChatCompletion):
        return reply.choices[0].message.content or ""
    return "".join(choice.delta.content or "" for chunk in reply for choice in chunk.choices)
