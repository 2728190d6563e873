"""How good were a backend's answers?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from actors.protocol.messages import JsonObject
from actors.protocol.sending import Sendable
from actors.protocol.tasks import ANY_TASK

BORROWED: Final = 10.0
"""At most so many judgements on other types of task count for one on which little is known."""


@dataclass(frozen=True, slots=True)
class Rating(Sendable):
    """The mean quality of a backend's answers, higher is better, and how many judgements' worth it rests on."""

    quality_01: float
    judgements: float

    @property
    def reach_01(self) -> float:
        """Half the width of an interval that holds the true mean with a probability of about 95 %.

        Source: normal approximation of a beta posterior, https://en.wikipedia.org/wiki/Beta_distribution
        """
        return 1.96 * math.sqrt(self.quality_01 * (1.0 - self.quality_01) / (self.judgements + 3.0))


class Verdict(NamedTuple):
    """One judgement in force, on a backend's answer or an ensemble's. `reward_01`: higher is better. `at_s`: when it
    came, in seconds since 1970. `pattern`: how the question was put."""

    task_type: str
    backend: str
    reward_01: float
    at_s: float = 0.0
    pattern: str = "plain"

    def as_json(self) -> JsonObject:
        return self._asdict()


class Seen(NamedTuple):
    """A judgement, and how its request was decided: the packed features of the question (none where it was not looked
    at), how probable it was that this backend was asked, and which quality was predicted of its answer, if any was."""

    verdict: Verdict
    features: str = ""
    propensity_01: float = 1.0
    predicted_01: float | None = None


UNRATED: Final = Rating(0.5, 0.0)


def rating_for(task_type: str, backend: str, ratings: Mapping[str, Mapping[str, Rating]]) -> Rating:
    """A backend's rating for a type of task: its own judgements, and those on all types as if they were at most ten.

    Shrinkage towards the overall mean: Efron and Morris 1975, https://doi.org/10.1080/01621459.1975.10479864
    """
    overall = ratings.get(ANY_TASK, {}).get(backend, UNRATED)
    own = ratings.get(task_type, {}).get(backend)
    if own is None or task_type == ANY_TASK:
        return overall
    borrowed = min(BORROWED, overall.judgements)
    judgements = own.judgements + borrowed
    quality_01 = (own.quality_01 * own.judgements + overall.quality_01 * borrowed) / judgements
    return Rating(quality_01, judgements)
