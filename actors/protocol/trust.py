"""How much is each member of a panel believed, and how probable is what they say together?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.protocol.sending import Sendable
from actors.protocol.tasks import ANY_TASK

NOBODY = None
"""The option that none of the given answers is right."""

OWN_FROM = 20
"""From how many judgements on a type of task on the trust is its own, and no longer that of all types."""


@dataclass(frozen=True, slots=True)
class Trust(Sendable):
    """What feedback taught about the members of one panel, for one type of task.

    The score of an answer is the sum of the `weights` (log-odds, at least 0) of those who gave it, that of there being
    no right one among them is `doubt`. `judgements`: on how much feedback this rests.
    """

    weights: Mapping[str, float]
    doubt: float
    judgements: int

    def beliefs(self, votes: Sequence[tuple[str, str | None]]) -> dict[str | None, float]:
        """How probable each answer is, and `NOBODY` for none of them; they sum to 1.

        `votes`: who gave which answer; `None` is no vote. Source: conditional logit, McFadden 1974,
        https://eml.berkeley.edu/reprints/mcfadden/zarembka.pdf
        """
        scores: dict[str | None, float] = {NOBODY: self.doubt}
        for member, answer in votes:
            if answer is not None:
                scores[answer] = scores.get(answer, 0.0) + self.weights.get(member, 0.0)
        highest = max(scores.values())
        odds = {answer: math.exp(score - highest) for answer, score in scores.items()}
        total = math.fsum(odds.values())
        return {answer: share / total for answer, share in odds.items()}


def trust_for(task_type: str, learned: Mapping[str, Trust]) -> Trust | None:
    """What was learned for a type of task, where that rests on enough; else what was learned for all (`ANY_TASK`)."""
    own, overall = learned.get(task_type), learned.get(ANY_TASK)
    if own is not None and (overall is None or own.judgements >= OWN_FROM):
        return own
    return overall
