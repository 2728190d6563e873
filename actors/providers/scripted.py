"""How does a model answer that only follows a script? For tests, ours and our users'.

A script, all of it optional:

    reply: "Paris"                      # every answer; or `replies`, used in turn; without either the last user
    replies:                            #   message is echoed
      - "42"
      - {text: "Paris", match: "capital of France"}     # whenever the last user message holds or matches this
      - {text: "no", finish_reason: length, logprob_mean: -0.7, delay_s: 1, tokens_per_s: 5,
         usage: {prompt_tokens: 9, completion_tokens: 1},
         tool_calls: [{name: look_up, arguments: {city: Paris}}],
         fault: {kind: cut}}            # a fault that comes with this reply
    delay_s: 0.2                        # before the first token
    tokens_per_s: 50                    # after it; a token is a word; without it all tokens come at once
    chunk_tokens: 1                     # tokens in one chunk of a stream
    faults:                             # the first that strikes a call is taken
      - {on: 3, kind: error, status: 429, retry_after_s: 2}
      - {on: [4, 5], kind: error, status: 400, code: context_length_exceeded, message: "too long"}
      - {on: every 10, kind: stall, after_tokens: 2, stall_s: 5}
      - {on: always, kind: timeout}
    fail_probe: true                    # the model answers calls, but not probes

Faults: `error` (with `status`, as an upstream's error of that status), `timeout` or `hang` (silence until a limit
ends it), `cut` and `malformed` (a broken answer), `stall` (silence of `stall_s`, endless by default), `crash` (the end
of the process). Each strikes after `after_tokens` tokens: by default half of them for `cut`, `malformed` and `stall`,
else none.
"""

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import BackendTimeout, BackendUnavailable, MalformedAnswer, RequestRefused
from actors.protocol.messages import Call, Chunk, Completion
from actors.providers.completions import text_of
from actors.providers.refusals import Refusals, Stated
from actors.providers.script import Fault, script_of
from actors.providers.scripted_wire import Part, tokens_of

CRASH_STATUS = 70  # EX_SOFTWARE


@dataclass(slots=True)
class Stats:
    """What a scripted model has been through: calls begun, those given up by their caller, those under way, probes."""

    calls: int = 0
    cancelled: int = 0
    in_flight: int = 0
    probes: int = 0


class Scripted:
    """A provider that follows a script; see the module for its language. The limits are those of an `openai` backend.

    `sleep` passes scripted time, `exit_process` ends the process: tests give their own. Raises `ConfigError` for a
    script that cannot be used.
    """

    def __init__(
        self,
        name: str,
        script: Mapping[str, Any],
        timeout_s: float = 120.0,
        ttft_timeout_s: float = 20.0,
        stall_timeout_s: float = 15.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        exit_process: Callable[[int], object] = os._exit,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = name
        self._script = script_of(name, script)
        self._timeout_s = timeout_s
        self._ttft_timeout_s = ttft_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._sleep = sleep
        self._exit_process = exit_process
        self._clock = clock
        self._refusals = Refusals(name, clock=clock)
        self._stats = Stats()
        self._turn = 0
        self._closed = False

    async def start(self) -> None:
        """Nothing: the script was checked when it was given."""

    async def complete(self, call: Call) -> Completion:
        """The whole answer, after the time that its tokens take. Raises `BackendError`s, as scripted."""
        with self._counted() as number:
            part = self._part(call, number)
            silences = Silences(self._name, self._sleep, min(self._timeout_s, call.time_left_s))
            async with aclosing(self._told(part, silences)) as told:
                async for _ in told:
                    continue
        return part.completion()

    async def stream(self, call: Call) -> AsyncIterator[Chunk]:
        """The answer in OpenAI's chunks: the role, the content, the finish reason, the usage."""
        with self._counted() as number:
            part = self._part(call, number)
            limits_s = (self._ttft_timeout_s, self._stall_timeout_s)
            silences = Silences(self._name, self._sleep, call.time_left_s, *limits_s)
            async with aclosing(self._told(part, silences)) as told:
                async for tokens in told:
                    yield part.text_chunk(tokens) if tokens else part.chunk({"role": "assistant", "content": ""})
            for delta in part.tool_deltas():
                yield part.chunk(delta)
        yield part.chunk({}, part.finish_reason)
        yield part.usage_chunk()

    async def probe(self) -> None:
        """Returns unless the script says `fail_probe`. Raises `BackendUnavailable`."""
        self._stats.probes += 1
        if self._closed or self._script.fail_probe:
            raise BackendUnavailable(f"'{self._name}' fails its probe, as scripted.", self._name)

    async def aclose(self) -> None:
        """Refuses later calls."""
        self._closed = True

    def stats(self) -> Stats:
        """What happened so far."""
        return replace(self._stats)

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """Counts a call in and out; gives its number, from 1."""
        if self._closed:
            raise BackendUnavailable(f"'{self._name}' is closed.", self._name)
        self._stats.calls += 1
        self._stats.in_flight += 1
        try:
            yield self._stats.calls
        except (asyncio.CancelledError, GeneratorExit):
            self._stats.cancelled += 1
            raise
        finally:
            self._stats.in_flight -= 1

    def _part(self, call: Call, number: int) -> Part:
        messages = call.body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise RequestRefused(f"'{self._name}' needs messages.", self._name, "messages")
        texts = [text_of(message.get("content")) for message in messages]
        question = next(
            (text for text, m in zip(texts[::-1], messages[::-1], strict=True) if m.get("role") == "user"), ""
        )
        reply = self._script.reply_to(question, self._turn)
        self._turn += reply.match is None
        text = reply.text if reply.text is not None else "" if reply.tool_calls else question
        return Part(
            backend=self._name,
            number=number,
            created_s=int(self._clock.wall_s()),
            reply=reply,
            text=text,
            tokens=tokens_of(text),
            prompt_tokens=sum(len(text.split()) for text in texts),
            fault=self._script.fault_of(number) or reply.fault,
            with_logprobs=call.body.get("logprobs") is True,
        )

    async def _told(self, part: Part, silences: "Silences") -> AsyncGenerator[Sequence[str], None]:
        """The answer's tokens in its rhythm, after an empty list for its beginning, and its fault."""
        script, tokens = self._script, part.tokens
        rate = part.reply.tokens_per_s or script.tokens_per_s
        strikes_at = part.fault.strikes_after(len(tokens)) if part.fault else None
        await silences.keep(script.delay_s if part.reply.delay_s is None else part.reply.delay_s)
        sent = 0
        while True:
            if part.fault and sent == strikes_at:
                await self._strike(part.fault, silences)
                strikes_at = None
            if sent == 0:
                yield []
            if sent >= len(tokens):
                return
            silences.begun = True
            stop = min(sent + script.chunk_tokens, len(tokens) if strikes_at is None else strikes_at)
            if rate and sent:
                await silences.keep((stop - sent) / rate)
            yield tokens[sent:stop]
            sent = stop

    async def _strike(self, fault: Fault, silences: "Silences") -> None:
        """Does what the fault says; returns only from a stall that the caller's patience outlasts."""
        name = self._name
        match fault.kind:
            case "error":
                words = frozenset({fault.code.lower()} if fault.code else ())
                stated = Stated(fault.message, fault.code, None, words)
                raise self._refusals.of_status(fault.status, stated, fault.retry_after_s)
            case "timeout" | "hang":
                await silences.keep(math.inf)
            case "stall":
                await silences.keep(fault.stall_s)
            case "cut":
                raise MalformedAnswer(f"'{name}' broke off its answer.", name)
            case "malformed":
                raise MalformedAnswer(f"'{name}' sent an event that is not JSON.", name)
            case "crash":
                self._exit_process(CRASH_STATUS)
                raise BackendUnavailable(f"'{name}' has ended its process.", name)


class Silences:
    """Passes scripted time within limits: `left_s` in all, then `ttft_timeout_s` and `stall_timeout_s` at a time."""

    def __init__(
        self,
        backend: str,
        sleep: Callable[[float], Awaitable[None]],
        left_s: float,
        ttft_timeout_s: float = math.inf,
        stall_timeout_s: float = math.inf,
    ) -> None:
        self.begun = False
        self._backend = backend
        self._sleep = sleep
        self._left_s = left_s
        self._limits_s = (ttft_timeout_s, stall_timeout_s)

    async def keep(self, seconds: float) -> None:
        """Says nothing for that long. Raises `BackendTimeout` where a limit comes first."""
        limit_s = min(self._limits_s[self.begun], self._left_s)
        if seconds > limit_s:
            await self._sleep(limit_s)
            raise BackendTimeout(f"'{self._backend}' was silent for {limit_s:.4g} s.", self._backend)
        if seconds > 0:
            await self._sleep(seconds)
            self._left_s -= seconds
