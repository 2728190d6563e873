"""What does a merge need to know of one member's answer?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from actors.ensembling.extraction import final_answer
from actors.ensembling.normalising import canonical_json
from actors.protocol.messages import Answer, Completion, JsonObject

Flaw = Literal["empty", "refused", "malformed", "truncated", "looping"]

Reading = Callable[[str], str | None]
"""Finds the final answer of a reply; `None`: there is none."""

FLAW_FACTORS: Mapping[Flaw, float] = {"empty": 0.01, "refused": 0.1, "malformed": 0.1, "truncated": 0.5, "looping": 0.3}
LOOP_CHARS = 40
LOOPS = 4  # a list may say a thing three times
"""How much of its weight a flawed answer keeps. Never 0: the only answer there is must be able to win."""


class Seat(NamedTuple):
    """A member of the panel that has not answered yet. `prior_weight`: at least 0."""

    backend: str
    prior_weight: float


@dataclass(slots=True)  # not frozen, since every request makes several
class Ballot:
    """One answer, as merges see it.

    `seat` is the place in the panel (0 is first; each ballot has its own). `final_answer` is what it votes for:
    the normalised final answer, the canonical JSON object, or the canonical tool calls; `None`: only its text speaks.
    `prior_weight` is at least 0 and has meaning only relative to the others'. `logprob_mean` is at most 0.
    `judge_score_01`: higher is better, `None` where no judge compared it. `passed_01`: the share of the question's
    examples that its code passes, `None` where it was not tried.
    """

    seat: int
    backend: str
    text: str = field(repr=False)
    final_answer: str | None = field(default=None, repr=False)
    prior_weight: float = 1.0
    logprob_mean: float | None = None
    finish_reason: str | None = "stop"
    tool_calls: Sequence[JsonObject] = field(default=(), repr=False)
    flaws: Sequence[Flaw] = ()
    judge_score_01: float | None = None
    passed_01: float | None = None

    @property
    def quality_01(self) -> float:
        """1 for a whole answer, less for each flaw."""
        return math.prod(FLAW_FACTORS[flaw] for flaw in self.flaws)

    @property
    def certainty_01(self) -> float | None:
        """The geometric mean of the probabilities of its tokens: exp of the mean logprob."""
        return None if self.logprob_mean is None else math.exp(min(0.0, self.logprob_mean))


def ballot_of(
    answer: Answer,
    seat: int = 0,
    prior_weight: float = 1.0,
    as_json: bool = False,
    reading: Reading = final_answer,
) -> Ballot:
    """The ballot of a member's answer, whose final answer `reading` finds.

    With `as_json` the caller wanted JSON: the vote is on the whole JSON value.

    Raises `ValueError` for a weight that is negative or not finite.
    """
    if not (math.isfinite(prior_weight) and prior_weight >= 0):
        raise ValueError(f"The weight of '{answer.backend}' must be a finite number of at least 0, not {prior_weight}.")
    completion = answer.completion
    message = _message(completion)
    calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
    stated = _stated(completion.text, calls, as_json, reading)
    return Ballot(
        seat=seat,
        backend=answer.backend,
        text=completion.text,
        final_answer=stated,
        prior_weight=prior_weight,
        logprob_mean=completion.logprob_mean,
        finish_reason=completion.finish_reason,
        tool_calls=calls,
        flaws=_flaws(completion, bool(message.get("refusal")), bool(calls), as_json and stated is None),
    )


def wants_json(body: Mapping[str, Any]) -> bool:
    """Whether a request's `response_format` asks for JSON."""
    response_format = body.get("response_format")
    return isinstance(response_format, dict) and response_format.get("type") in ("json_object", "json_schema")


def canonical_call(call: Mapping[str, Any]) -> str:
    """A tool call as `name({"city":"Paris"})`, so that spelling and order of the arguments do not matter."""
    function = call.get("function") or {}
    arguments = str(function.get("arguments") or "{}")
    return f"{function.get('name')}({canonical_json(arguments) or arguments})"


def _stated(text: str, calls: Sequence[JsonObject], as_json: bool, reading: Reading) -> str | None:
    if calls:
        return "; ".join(sorted(map(canonical_call, calls)))
    return canonical_json(unfenced(text)) if as_json else reading(text)


def unfenced(text: str) -> str:
    """The text without a Markdown code fence around it."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        return bare[3:-3].removeprefix("json")
    return bare


def _flaws(completion: Completion, refused: bool, calls: bool, malformed: bool) -> tuple[Flaw, ...]:
    found: dict[Flaw, bool] = {
        "refused": refused or completion.finish_reason == "content_filter",
        "empty": not refused and not calls and not completion.text.strip(),
        "malformed": malformed and bool(completion.text.strip()),
        "truncated": completion.finish_reason == "length",
        "looping": loops(completion.text),
    }
    return tuple(flaw for flaw, present in found.items() if present)


def loops(text: str) -> bool:
    """Whether a text ends in one piece of up to 400 characters that is said four times over, 160 characters in all."""
    end = text[-LOOP_CHARS:]
    if len(text) < LOOP_CHARS * (LOOPS + 1):
        return False
    before = text.rfind(end, 0, len(text) - 1)
    period = len(text) - LOOP_CHARS - before
    if before < 0 or period > LOOP_CHARS * 10:
        return False
    tail = text[-max(period, LOOP_CHARS) * LOOPS :]
    return len(tail) >= period * LOOPS and tail[period:] == tail[:-period]


def _message(completion: Completion) -> Mapping[str, Any]:
    """The message of the first choice; nothing where the upstream's object has no such thing."""
    choices = completion.body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else {}
