"""What does a merge need to know of one member's answer?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.ensembling.extraction import final_answer
from actors.ensembling.flaws import FLAW_FACTORS, Flaw, loops
from actors.ensembling.normalising import canonical_json
from actors.ensembling.wanted import ANYTHING, Wanted, json_in
from actors.protocol.messages import Answer, Completion, JsonObject

Reading = Callable[[str], str | None]
"""Finds the final answer of a reply; `None`: there is none."""


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
        return math.prod([FLAW_FACTORS[flaw] for flaw in self.flaws]) if self.flaws else 1.0

    @property
    def certainty_01(self) -> float | None:
        """The geometric mean of the probabilities of its tokens: exp of the mean logprob."""
        return None if self.logprob_mean is None else math.exp(min(0.0, self.logprob_mean))


def ballot_of(
    answer: Answer,
    seat: int = 0,
    prior_weight: float = 1.0,
    wanted: Wanted = ANYTHING,
    reading: Reading = final_answer,
) -> Ballot:
    """The ballot of a member's answer, whose final answer `reading` finds.

    Where the caller `wanted` JSON, the vote is on the whole JSON value.

    Raises `ValueError` for a weight that is negative or not finite.
    """
    if not (math.isfinite(prior_weight) and prior_weight >= 0):
        raise ValueError(f"The weight of '{answer.backend}' must be a finite number of at least 0, not {prior_weight}.")
    completion = answer.completion
    message = _message(completion)
    calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
    return Ballot(
        seat=seat,
        backend=answer.backend,
        text=completion.text,
        final_answer=_stated(completion.text, calls, wanted.as_json, reading),
        prior_weight=prior_weight,
        logprob_mean=completion.logprob_mean,
        finish_reason=completion.finish_reason,
        tool_calls=calls,
        flaws=_flaws(completion, bool(message.get("refusal")), calls, wanted),
    )


def canonical_call(call: Mapping[str, Any]) -> str:
    """A tool call as `name({"city":"Paris"})`, so that spelling and order of the arguments do not matter."""
    function = call.get("function") or {}
    arguments = str(function.get("arguments") or "{}")
    return f"{function.get('name')}({canonical_json(arguments) or arguments})"


def _stated(text: str, calls: Sequence[JsonObject], as_json: bool, reading: Reading) -> str | None:
    if calls:
        return "; ".join(sorted(map(canonical_call, calls)))
    return canonical_json(json_in(text)) if as_json else reading(text)


def _flaws(completion: Completion, refused: bool, calls: Sequence[JsonObject], wanted: Wanted) -> tuple[Flaw, ...]:
    found: list[Flaw] = []
    if refused or completion.finish_reason == "content_filter":
        found.append("refused")
    if not refused and not calls and not completion.text.strip():
        found.append("empty")
    if shape := _flaw_of_calls(calls, wanted) if calls else wanted.flaw_of(completion.text):
        found.append(shape)
    if completion.finish_reason == "length":
        found.append("truncated")
    if loops(completion.text):
        found.append("looping")
    return tuple(found)


def _flaw_of_calls(calls: Sequence[JsonObject], wanted: Wanted) -> Flaw | None:
    functions = [call.get("function") or {} for call in calls]
    if any(canonical_json(str(one.get("arguments") or "{}")) is None for one in functions):
        return "malformed"
    return "invalid" if wanted.tools and not {str(one.get("name")) for one in functions} <= wanted.tools else None


def _message(completion: Completion) -> Mapping[str, Any]:
    """The message of the first choice; nothing where the upstream's object has no such thing."""
    choices = completion.body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else {}
