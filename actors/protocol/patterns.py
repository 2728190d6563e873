"""Which ways of putting a question gain over leaving it as it is, and what does one trial say of them?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from actors.protocol.messages import JsonObject
from actors.protocol.sending import Sendable

PLAIN: Final = "plain"
"""The question as the caller wrote it."""

RewriteMode = Literal["never", "shadow", "live"]
MODES: Final[tuple[RewriteMode, ...]] = ("never", "shadow", "live")
"""`shadow`: only asked beside, the caller gets the answer to the plain question."""


@dataclass(frozen=True, slots=True)
class Gain(Sendable):
    """What a pattern gains over `plain`: the difference of mean rewards, -1..1, higher is better.

    The true gain is above `low` with a probability of 95 %, and below `high` with the same, however often one looks.
    `trials`: how many of the pattern this rests on, old ones counting less.
    """

    gain: float
    low: float
    high: float
    trials: float

    def as_json(self) -> JsonObject:
        return {
            "gain": round(self.gain, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "trials": round(self.trials, 1),
        }


UNTRIED: Final = Gain(0.0, -1.0, 1.0, 0.0)

Gains = Mapping[str, Mapping[str, Mapping[str, Gain]]]
"""Per backend, per type of task, per pattern."""


class Trial(NamedTuple):
    """One judged answer to a question that was put in a certain way. `reward_01`: higher is better. `plain_01`: the
    reward of the same backend's answer to the same question as it was, `None` where that is not known. `at_s`: when
    it was judged, in seconds since 1970."""

    backend: str
    task_type: str
    pattern: str
    reward_01: float
    plain_01: float | None = None
    at_s: float = 0.0

    def as_json(self) -> JsonObject:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Comparison(Sendable):
    """A backend's answers to one question as it was and put in another way, in a spelling that can be compared.

    `expected`: the answer that the others of its panel agreed on; without it, feedback that names the right one
    decides.
    """

    request_id: str
    backend: str
    task_type: str
    pattern: str
    plain: str | None = field(repr=False)
    rewritten: str | None = field(repr=False)
    expected: str | None = field(default=None, repr=False)

    def trial(self, right: str, at_s: float) -> Trial:
        """What it says where that answer is the right one."""
        rewards = float(self.rewritten == right), float(self.plain == right)
        return Trial(self.backend, self.task_type, self.pattern, *rewards, at_s)
