"""Which answer did most members give?"""

from collections.abc import Sequence

from actors.ensembling.agreement import Similarity, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.tally import abstentions, seated, vote


class MajorityVote:
    """One member, one vote; a flawed answer has less of one. Prior weights only break ties."""

    wants_judge = False

    def __init__(self, similar: Similarity = token_overlap) -> None:
        self._similar = similar

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        ballots = seated(ballots, outstanding)
        if not ballots:
            return Waiting()
        weighings = [
            [ballot.quality_01 * factor for ballot, factor in zip(ballots, factors, strict=True)]
            for factors in abstentions(ballots, len(outstanding))
        ]
        return vote(ballots, outstanding, self._similar, weighings, outstanding_weight=float(len(outstanding)))
