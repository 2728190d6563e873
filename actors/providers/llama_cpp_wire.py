"""What is said to the llama.cpp runtime, and what do the events that it sends back mean?

The runtime is always asked for a stream with usage, progress and log probabilities: progress events give a cancelled
call a chance to stop while its prompt is read, log probabilities give every answer a confidence. What the caller did
not ask for is taken out of the events again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from actors.protocol.errors import (
    BackendError,
    BackendUnavailable,
    ContextTooLong,
    LLMError,
    MalformedAnswer,
    RequestRefused,
)
from actors.protocol.messages import Chunk, Completion, JsonObject, Usage
from actors.providers.completions import is_plain

REASON_LENGTH = 300
LEAST_LOGPROB = -100.0  # the runtime sends the lowest float32 for a probability that underflowed to 0 (below e^-103)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as the runtime gets it, and which of its answers' fields the caller wants to see.

    `top_logprobs`: whether the caller asked for alternatives beside each token's own log probability.
    """

    body: JsonObject = field(repr=False)
    logprobs: bool
    top_logprobs: bool
    progress: bool

    def payload(self, backend: str) -> bytes:
        """The request as JSON. Raises `RequestRefused` for what JSON cannot carry."""
        try:
            return orjson.dumps(self.body)
        except orjson.JSONEncodeError as error:
            raise RequestRefused(f"The request cannot be written as JSON: {error}.", backend) from error


def ask_of(body: JsonObject, system: str | None) -> Ask:
    """The runtime's request for a caller's OpenAI parameters; unknown ones are passed on.

    `system` is put first where the caller sent no system message.
    """
    sent = {**body, "stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
    sent["messages"] = with_system(body.get("messages"), system)
    wanted, top = body.get("logprobs") is True, body.get("top_logprobs")
    # The runtime gives no log probabilities without alternatives, and refuses them beside tools.
    if wanted and not top:
        sent["top_logprobs"] = 1
    elif not wanted and not top and not body.get("tools"):
        sent.update(logprobs=True, top_logprobs=1)
    return Ask(sent, logprobs=wanted, top_logprobs=bool(top), progress=body.get("return_progress") is True)


def with_system(messages: object, system: str | None) -> object:
    """`messages` with a system message in front, unless there is one; what is no list is left for the runtime."""
    if not system or not isinstance(messages, list):
        return messages
    roles = [message.get("role") for message in messages if isinstance(message, dict)]
    return messages if "system" in roles or "developer" in roles else [{"role": "system", "content": system}, *messages]


class Reader:
    """Reads the events of one answer in order."""

    def __init__(self, ask: Ask, model: str, backend: str) -> None:
        self._ask = ask
        self._model = model
        self._backend = backend
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._logprobs: list[float] = []
        self._usages: list[Usage] = []

    @property
    def logprob_mean(self) -> float | None:
        """Mean natural log probability of the first choice's tokens so far; `None` when there are none."""
        return sum(self._logprobs) / len(self._logprobs) if self._logprobs else None

    def event(self, raw: bytes) -> JsonObject | None:
        """The event as the caller may see it; `None` if it is not for the caller. Raises what an error event means."""
        if not raw.strip():
            return None
        try:
            event = orjson.loads(raw)
            if "error" in event:
                raise error_of(event["error"], self._backend)
            if "prompt_progress" in event and not self._ask.progress:
                return None
            for choice in event["choices"]:
                self._choice(choice)
            if not self._counted(event):
                return None
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise MalformedAnswer(
                f"The model runtime of '{self._backend}' sent no valid event.", self._backend
            ) from error
        event["model"] = self._model
        return event  # type: ignore[no-any-return]  # orjson.loads: a JSON object, as its use above has shown

    def end(self) -> None:
        """To be called after the last event. Raises `MalformedAnswer` if the answer is not complete."""
        if not self._begun or self._begun != self._finished:
            raise MalformedAnswer(f"The answer of '{self._backend}' broke off.", self._backend)

    def _counted(self, event: JsonObject) -> bool:
        """Whether the event may pass: the runtime counts each choice in an event of its own, OpenAI all in the last."""
        usage = usage_of(event)
        if usage is None:
            return True
        self._usages.append(usage)
        if len(self._usages) < (self._ask.body.get("n") or 1):
            return False
        completion_tokens = sum(usage.completion_tokens for usage in self._usages)
        event["usage"].update(Usage(usage.prompt_tokens, completion_tokens).as_json())
        return True

    def _choice(self, choice: JsonObject) -> None:
        index = choice["index"]
        self._begun.add(index)
        if choice["finish_reason"]:
            self._finished.add(index)
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        if index == 0:
            self._logprobs += [max(token["logprob"], LEAST_LOGPROB) for token in tokens if "logprob" in token]
        if not self._ask.logprobs:
            choice.pop("logprobs", None)
        elif not self._ask.top_logprobs:
            for token in tokens:
                token["top_logprobs"] = []


def chunk_of(event: JsonObject) -> Chunk:
    """The event as a stream's chunk."""
    first = next((choice for choice in event["choices"] if choice["index"] == 0), None)
    text, reason = "", None
    if first is not None:
        text, reason = first["delta"].get("content") or "", first["finish_reason"]
    plain = all(is_plain(choice) for choice in event["choices"])
    return Chunk(orjson.dumps(event), text, reason, usage_of(event), plain)


def usage_of(event: JsonObject) -> Usage | None:
    usage = event.get("usage")
    return Usage(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None


def completion_of(events: Sequence[JsonObject], logprob_mean: float | None) -> Completion:
    """The events of one complete answer as an OpenAI `chat.completion`. `events` is not empty."""
    choices: dict[int, JsonObject] = {}
    usage = None
    body: JsonObject = {}
    for event in events:
        body.update({key: value for key, value in event.items() if key != "choices"})
        usage = usage_of(event) or usage
        for choice in event["choices"]:
            _merge(choices.setdefault(choice["index"], _empty(choice["index"])), choice)
    for choice in choices.values():
        if choice["message"].get("tool_calls") and not choice["message"]["content"]:
            choice["message"]["content"] = None
    body |= {"object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}
    first = choices.get(0) or next(iter(choices.values()))
    return Completion(body, first["message"]["content"] or "", first["finish_reason"], usage, logprob_mean)


def error_of(error: JsonObject, backend: str) -> LLMError:
    """Our error for an error event of the runtime."""
    code, kind = error.get("code"), error.get("type")
    if kind == "exceed_context_size_error":
        return ContextTooLong(
            f"The prompt has {error.get('n_prompt_tokens')} tokens; '{backend}' takes {error.get('n_ctx')} "
            "with its answer. Shorten it, or configure a larger context.",
            backend,
            "messages",
        )
    reason = reason_of(str(error.get("message", "")))
    if isinstance(code, int) and 400 <= code < 500:
        return RequestRefused(f"'{backend}' refused the request: {reason}", backend)
    if code == 503:
        return BackendUnavailable(f"'{backend}' is not ready: {reason}", backend)
    return BackendError(f"The model runtime of '{backend}' failed: {reason}", backend)


def reason_of(message: str) -> str:
    """A runtime's message, short enough to pass on."""
    text = " ".join(message.split())
    return text if len(text) <= REASON_LENGTH else text[:REASON_LENGTH] + "..."


def _empty(index: int) -> JsonObject:
    return {"index": index, "message": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}


def _merge(whole: JsonObject, choice: JsonObject) -> None:
    """Adds one event's part of a choice to what came before."""
    message = whole["message"]
    for key, value in choice["delta"].items():
        if key == "tool_calls":
            _merge_calls(message.setdefault("tool_calls", []), value)
        elif key != "role" and isinstance(value, str):
            message[key] = message.get(key, "") + value
    if choice.get("logprobs"):
        tokens = whole["logprobs"] = whole["logprobs"] or {"content": []}
        tokens["content"] += choice["logprobs"]["content"]
    whole["finish_reason"] = choice["finish_reason"] or whole["finish_reason"]


def _merge_calls(calls: list[dict[str, Any]], deltas: Sequence[JsonObject]) -> None:
    for delta in deltas:
        call = next((call for call in calls if call["index"] == delta["index"]), None)
        if call is None:
            calls.append({"type": "function", **delta, "function": {"name": "", "arguments": "", **delta["function"]}})
        else:
            for key, value in (delta.get("function") or {}).items():
                call["function"][key] += value
