"""Which answer stands when members were asked one after another, the strongest last?"""

from collections.abc import Sequence

from actors.ensembling.agreement import Similarity, clusters, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.tally import Tally, seated, verdict


class Cascade:
    """The answer that most of those asked gave; between equals, that of the latest, who is asked because the others
    were not sure. Never early: how sure is sure enough is the panel's rule."""

    wants_judge = False

    def __init__(self, similar: Similarity = token_overlap) -> None:
        self._similar = similar

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        ballots = seated(ballots, outstanding)
        if outstanding:
            return Waiting()
        tally = Tally.of(ballots, [ballot.quality_01 for ballot in ballots], clusters(ballots, self._similar))
        group = max(tally.groups, key=lambda group: (round(tally.share_of(group), 9), max(group)))
        return verdict(tally, max(group, key=lambda place: (ballots[place].quality_01, place)))
