"""What does an OpenAI-compatible upstream's answer say, and is it whole?"""

from math import fsum
from typing import Any, NamedTuple

import orjson

from actors.protocol.errors import BackendError, MalformedAnswer
from actors.protocol.messages import Chunk, Completion, JsonObject, Usage
from actors.providers.refusals import Refusals
from actors.providers.sse import ServerEvent

PLAIN_KEYS = frozenset({"role", "content"})
LEAST_LOGPROB = -100.0  # upstreams write -9999 and the like for a probability of 0


def completion_of(body: bytes, backend: str, refusals: Refusals) -> Completion:
    """The completion in a body of status 200. Raises `MalformedAnswer` if there is none, or what its `error` means."""
    parsed = _object(body, backend, "an answer that is not JSON")
    if parsed.get("error") and not parsed.get("choices"):
        raise refusals.of_event(parsed["error"])
    try:
        first = parsed["choices"][0]
        text = text_of(first["message"].get("content"))
        reason = first.get("finish_reason")
        logprobs = first.get("logprobs")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise MalformedAnswer(f"'{backend}' sent an answer that is not a completion.", backend) from None
    if reason == "error":
        raise _broken(first, backend, refusals)
    if not reason:
        raise MalformedAnswer(f"'{backend}' sent an answer that does not say why it finished.", backend)
    return Completion(parsed, text, reason, usage_of(parsed), logprob_mean(logprobs) if logprobs else None)


class StreamReading:
    """Reads one answer's events in order, and knows what has been read so far.

    `begun`: something of the answer itself was there, more than its role. `ended`: the upstream said `[DONE]`.
    `is_whole`: every choice that was begun has said why it finished.
    """

    __slots__ = ("_backend", "_finished", "_mould", "_open", "_refusals", "_skipped", "begun", "ended", "is_whole")

    def __init__(self, backend: str, refusals: Refusals) -> None:
        self._backend = backend
        self._refusals = refusals
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._skipped = False
        self._mould: Mould | None = None
        self.begun = False
        self.ended = False
        self.is_whole = False

    def chunk(self, event: ServerEvent) -> Chunk | None:
        """The event as a chunk; `None` for the one that ends the stream, and for a broken one that says nothing.

        Raises `BackendError`s.
        """
        data = event.data
        if self._mould is not None and (said := self._mould.text_of(data)) is not None and not event.name:
            return Chunk(data, said)
        if data.strip() == b"[DONE]":
            self.ended = True
            return None
        try:
            parsed = _object(data, self._backend, "an event that is not JSON")
        except MalformedAnswer:
            if self._skipped or not says_nothing(data):
                raise
            self._skipped = True
            return None
        error = parsed.get("error")
        if error or event.name == b"error":
            raise self._refusals.of_event(error or parsed)
        text, reason, plain = "", None, True
        try:
            for choice in parsed.get("choices") or ():
                index, choice_reason = choice.get("index", 0), choice.get("finish_reason")
                delta = choice.get("delta")
                if delta:
                    if not self.begun:
                        self.begun = any(value for key, value in delta.items() if key != "role")
                    if index == 0:
                        text += text_of(delta.get("content"))
                plain = plain and is_plain(choice)
                self._open.add(index)
                if choice_reason:
                    self._finish(choice, index, choice_reason)
                    reason = choice_reason if index == 0 else reason
        except (TypeError, AttributeError):
            raise MalformedAnswer(f"'{self._backend}' sent an event that is not a chunk.", self._backend) from None
        self.is_whole = bool(self._open) and self._open == self._finished
        usage = usage_of(parsed) if parsed.get("usage") else None
        is_common = text and plain and not reason and not usage and len(parsed["choices"]) == 1
        self._mould = Mould.of(data, text) if is_common else None
        return Chunk(data, text, reason, usage, plain)

    def end(self) -> None:
        """To be called at the end of the stream. Raises `MalformedAnswer` if the answer is not whole.

        `[DONE]` alone does not make it whole: an answer that does not say why it finished may have been cut.
        """
        if not self.is_whole:
            what = "broke off its answer" if self._open else "ended its stream without an answer"
            raise MalformedAnswer(f"'{self._backend}' {what}.", self._backend)

    def _finish(self, choice: JsonObject, index: int, reason: str) -> None:
        if reason == "error":
            raise _broken(choice, self._backend, self._refusals)
        self._finished.add(index)
        self.begun = True


class Mould(NamedTuple):
    """What stands before and after the text of an event: one that differs in nothing else need not be parsed.

    Most events of a stream differ from the one before in their text alone.
    """

    before: bytes
    after: bytes

    @classmethod
    def of(cls, data: bytes, text: str) -> "Mould | None":
        """That of an event whose one choice says nothing but `text`; `None` where it cannot be told for certain."""
        for opening in (b'"content":"', b'"content": "'):
            before, found, after = data.partition(opening + text.encode() + b'"')
            if found and data.count(b'"content"') == 1:
                return cls(before + opening, b'"' + after)
        return None

    def text_of(self, data: bytes) -> str | None:
        """The text of an event of the same mould; `None` for any other, and where the text holds what JSON escapes."""
        before, after = self
        inside = len(data) - len(after)
        if inside < len(before) or not data.startswith(before) or not data.endswith(after):
            return None
        raw = data[len(before) : inside]
        if b'"' in raw or b"\\" in raw:
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        return text if text.isprintable() else None


def is_plain(choice: JsonObject) -> bool:
    """Whether a choice of an event is the first one and says nothing but its role, its text and its finish."""
    delta = choice.get("delta")
    if choice.get("index") or choice.get("logprobs"):
        return False
    return not delta or all(key in PLAIN_KEYS or not delta[key] for key in delta)


def says_nothing(data: bytes) -> bool:
    """Whether an event that is not JSON can have been no piece of an answer: it was not cut off, and names none."""
    is_cut_off = data.lstrip().startswith(b"{") and not data.rstrip().endswith(b"}")
    return not is_cut_off and not any(word in data for word in (b"choices", b"delta", b"content"))


def text_of(content: object) -> str:
    """The text of a message's or delta's `content`: a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def usage_of(answer: JsonObject) -> Usage | None:
    """The tokens that an answer or an event reports; `None` unless it reports both numbers."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(prompt, completion) if isinstance(prompt, int) and isinstance(completion, int) else None


def logprob_mean(logprobs: object) -> float | None:
    """Mean natural log probability (at most 0) of a choice's `logprobs`; `None` when it holds none."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list):
        return None
    given = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    numbers = [max(float(number), LEAST_LOGPROB) for number in given if isinstance(number, int | float)]
    return min(0.0, fsum(numbers) / len(numbers)) if numbers else None


def _object(data: bytes, backend: str, otherwise: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise MalformedAnswer(f"'{backend}' sent {otherwise}.", backend)
    return parsed


def _broken(choice: JsonObject, backend: str, refusals: Refusals) -> BackendError:
    """The error for a choice that finished with `error`."""
    if choice.get("error"):
        return refusals.of_event(choice["error"])
    return BackendError(f"'{backend}' failed while it was answering.", backend)
