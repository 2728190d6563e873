"""What may a scripted model be told to do?"""

import difflib
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from actors.protocol.errors import ConfigError
from actors.protocol.messages import JsonObject

EVERY = re.compile(r"every ([1-9]\d*)")

FaultKind = Literal["error", "timeout", "hang", "cut", "stall", "malformed", "crash"]
BEGUN_BEFORE = ("cut", "stall", "malformed")  # faults that strike in the middle unless told otherwise

Seconds = Annotated[float, Field(ge=0)]
PerSecond = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(_Part):
    """A misfortune, and the calls that it strikes: a number from 1, a list of them, `every N`, or `always`."""

    kind: FaultKind
    on: int | tuple[int, ...] | str = "always"
    status: int = Field(500, ge=400, le=599)
    code: str | None = None
    message: str = "as scripted"
    retry_after_s: Seconds | None = None
    after_tokens: Count | None = None
    stall_s: Seconds = math.inf

    @model_validator(mode="before")
    @classmethod
    def _plain_on(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and True in given:  # YAML 1.1 reads the key `on` as a boolean
            return {("on" if key is True else key): value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _known_on(self) -> Self:
        if isinstance(self.on, str) and self.on != "always" and not EVERY.fullmatch(self.on):
            raise ValueError(f"'on' must be a call's number, a list of them, 'every N' or 'always', not '{self.on}'")
        return self

    def strikes(self, number: int) -> bool:
        """Whether it meets the call of this number, counted from 1."""
        if isinstance(self.on, str):
            every = EVERY.fullmatch(self.on)
            return every is None or number % int(every[1]) == 0
        return number == self.on if isinstance(self.on, int) else number in self.on

    def strikes_after(self, tokens: int) -> int:
        """How many of an answer's `tokens` come before it."""
        default = tokens // 2 if self.kind in BEGUN_BEFORE else 0
        return min(tokens, default if self.after_tokens is None else self.after_tokens)


class ScriptedUsage(_Part):
    """The usage to report instead of the counted one."""

    prompt_tokens: Count
    completion_tokens: Count


class ToolCall(_Part):
    """A tool call of a reply; `arguments` as a mapping or as the JSON text that OpenAI uses."""

    name: str
    arguments: str
    id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        function = given.get("function")
        flat = {key: value for key, value in given.items() if key not in ("function", "type")}
        flat |= function if isinstance(function, Mapping) else {}
        if isinstance(flat.get("arguments"), Mapping):
            flat["arguments"] = orjson.dumps(flat["arguments"]).decode()
        return flat

    def as_json(self, number: int) -> JsonObject:
        """The OpenAI tool call; `number` makes its id where the script gives none."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id or f"call_{number}", "type": "function", "function": function}


class ScriptedReply(_Part):
    """One answer. `match`: only for a last user message that holds this text, or that this expression finds."""

    text: str | None = None
    match: str | None = None
    finish_reason: str | None = None
    logprob_mean: float | None = Field(None, le=0)
    usage: ScriptedUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    delay_s: Seconds | None = None
    tokens_per_s: PerSecond | None = None
    fault: Fault | None = None

    def answers(self, question: str) -> bool:
        """Whether `match` fits the question."""
        if self.match is None or self.match in question:
            return True
        try:
            return re.search(self.match, question) is not None
        except re.error:  # plain text that only looks like an expression
            return False


def _reply_of(given: object) -> object:
    """A reply's long form: YAML reads an unquoted 42 as a number."""
    return {"text": str(given)} if isinstance(given, str | int | float) else given


Reply = Annotated[ScriptedReply, BeforeValidator(_reply_of)]


class Script(_Part):
    """A whole script."""

    reply: Reply | None = None
    replies: tuple[Reply, ...] = ()
    delay_s: Seconds = 0.0
    tokens_per_s: PerSecond | None = None
    chunk_tokens: int = Field(1, ge=1)
    faults: tuple[Fault, ...] = ()
    fail_probe: bool = False

    @model_validator(mode="after")
    def _one_kind_of_replies(self) -> Self:
        if self.reply is not None and self.replies:
            raise ValueError("give 'reply' or 'replies', not both")
        return self

    def reply_to(self, question: str, turn: int) -> ScriptedReply:
        """The first reply whose `match` fits, else the next in turn (from 0) of those without, else an echo."""
        replies = self.replies or ((self.reply,) if self.reply else ())
        fitting = next((reply for reply in replies if reply.match is not None and reply.answers(question)), None)
        plain = [reply for reply in replies if reply.match is None]
        if fitting is None and plain:
            fitting = plain[turn % len(plain)]
        return fitting or ScriptedReply()

    def fault_of(self, number: int) -> Fault | None:
        """The first fault that strikes the call of this number."""
        return next((fault for fault in self.faults if fault.strikes(number)), None)


OWNERS: Mapping[str, type[_Part]] = {
    "reply": ScriptedReply,
    "replies": ScriptedReply,
    "fault": Fault,
    "faults": Fault,
    "usage": ScriptedUsage,
    "tool_calls": ToolCall,
}


def script_of(backend: str, given: Mapping[str, Any]) -> Script:
    """The script, checked. Raises `ConfigError` with the place of every problem and the nearest known keys."""
    try:
        return Script.model_validate(dict(given))
    except ValidationError as error:
        problems = "".join(f"\n  {_told(problem['loc'], problem)}" for problem in error.errors())
        raise ConfigError(f"The script of backend '{backend}' cannot be used:{problems}", backend) from None


def _told(place: tuple[int | str, ...], problem: Any) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".") or "script"
    if problem["type"] != "extra_forbidden":
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    above = next((step for step in reversed(place[:-1]) if isinstance(step, str)), "")
    known = list(OWNERS.get(above, Script).model_fields)
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"{path}: unknown key; " + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}")
