"""How does a scripted answer look in OpenAI's shapes?"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from actors.protocol.messages import Chunk, Completion, JsonObject, Usage
from actors.providers.completions import is_plain
from actors.providers.script import Fault, ScriptedReply

TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?")


def tokens_of(text: str) -> list[str]:
    """The words of a text with the white space before them; joined they are the text."""
    return TOKEN.findall(text) or [text][: len(text)]


@dataclass(frozen=True, slots=True)
class Part:
    """What is said in one call, in OpenAI's shapes. `tokens` joined are the text."""

    backend: str
    number: int
    created_s: int
    reply: ScriptedReply
    text: str = field(repr=False)
    tokens: Sequence[str] = field(repr=False)
    prompt_tokens: int
    fault: Fault | None
    with_logprobs: bool

    @property
    def finish_reason(self) -> str:
        return self.reply.finish_reason or ("tool_calls" if self.reply.tool_calls else "stop")

    @property
    def usage(self) -> Usage:
        given = self.reply.usage
        if given is None:
            return Usage(self.prompt_tokens, len(self.text.split()))
        return Usage(given.prompt_tokens, given.completion_tokens)

    def completion(self) -> Completion:
        """The whole answer."""
        message: JsonObject = {"role": "assistant", "content": self.text}
        if self.reply.tool_calls:
            message = {"role": "assistant", "content": self.text or None, "tool_calls": self._tool_calls()}
        choice = {"index": 0, "message": message, "logprobs": self._logprobs(self.tokens)}
        body = self._body("chat.completion", choice | {"finish_reason": self.finish_reason})
        body["usage"] = self.usage.as_json()
        return Completion(body, self.text, self.finish_reason, self.usage, self.reply.logprob_mean)

    def chunk(self, delta: JsonObject, finish_reason: str | None = None) -> Chunk:
        """An event with a delta."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        data = orjson.dumps(self._body("chat.completion.chunk", choice))
        return Chunk(data, "", finish_reason, is_plain=is_plain(choice))

    def text_chunk(self, tokens: Sequence[str]) -> Chunk:
        """An event with a piece of the text."""
        text = "".join(tokens)
        choice = {"index": 0, "delta": {"content": text}, "logprobs": self._logprobs(tokens), "finish_reason": None}
        return Chunk(orjson.dumps(self._body("chat.completion.chunk", choice)), text, is_plain=is_plain(choice))

    def tool_deltas(self) -> Iterator[JsonObject]:
        """The deltas of the tool calls, each whole."""
        for index, tool_call in enumerate(self._tool_calls()):
            yield {"tool_calls": [{"index": index, **tool_call}]}

    def usage_chunk(self) -> Chunk:
        """The last event: no choices, but the usage."""
        body = self._body("chat.completion.chunk") | {"usage": self.usage.as_json()}
        return Chunk(orjson.dumps(body), usage=self.usage)

    def _tool_calls(self) -> list[JsonObject]:
        return [tool_call.as_json(number) for number, tool_call in enumerate(self.reply.tool_calls)]

    def _logprobs(self, tokens: Sequence[str]) -> JsonObject | None:
        mean = self.reply.logprob_mean
        if mean is None or not self.with_logprobs:
            return None
        return {
            "content": [
                {"token": token, "logprob": mean, "bytes": list(token.encode()), "top_logprobs": []} for token in tokens
            ]
        }

    def _body(self, kind: str, *choices: JsonObject) -> JsonObject:
        return {
            "id": f"chatcmpl-{self.backend}-{self.number}",
            "object": kind,
            "created": self.created_s,
            "model": self.backend,
            "choices": list(choices),
        }
