"""What may a merge strategy say when it looks at the answers so far?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.ensembling.ballot import Ballot, Seat
from actors.protocol.messages import Vote


@dataclass(slots=True)  # not frozen, since every request makes several
class Decided:
    """A winner. `votes`: one per ballot in panel order, weights sum to 1; `support_01`: the winning answer's share.

    `confidence_01` is `None` where nothing is known. `decided_early`: some members had not answered, and none of
    them could have changed the winning answer (which of several equal texts is shown could have changed).
    """

    winner: Ballot
    confidence_01: float | None
    support_01: float
    votes: Sequence[Vote]
    reasons: Sequence[str] = ()
    decided_early: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """The members that are still outstanding may change the winner."""


Verdict = Decided | Waiting


class MergeStrategy(Protocol):
    """Turns answers into one. Pure: the same ballots give the same verdict, in whatever order they came.

    `wants_judge`: the ballots' judge scores decide where there are any, so asking a judge first is worth it.
    """

    wants_judge: bool

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        """The verdict on the answers so far; never `Waiting` when nobody is outstanding.

        Raises `ValueError` when there is neither a ballot nor anybody outstanding.
        """
        ...
