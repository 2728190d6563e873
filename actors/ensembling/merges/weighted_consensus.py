"""Which answer has the most trust behind it?"""

from collections.abc import Sequence

from actors.ensembling.agreement import Similarity, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.tally import Weights, abstentions, seated, vote

UNSURE = 0.5  # the least that doubt leaves of a vote: mean logprobs of different models compare only roughly


class WeightedConsensus:
    """A vote in which a ballot counts prior weight x quality x certainty.

    The prior weight is what the caller believes of the member. Certainty runs from `UNSURE` to 1 with exp(mean
    logprob), and counts only where every ballot has one: otherwise a backend would gain by hiding or showing it.
    Source of the idea: confidence-informed self-consistency, https://arxiv.org/abs/2502.06233
    """

    wants_judge = False

    def __init__(self, similar: Similarity = token_overlap) -> None:
        self._similar = similar

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        ballots = seated(ballots, outstanding)
        if not ballots:
            return Waiting()
        believed = [ballot.prior_weight * ballot.quality_01 for ballot in ballots]
        weighings = [
            [
                weight * certainty * factor
                for weight, certainty, factor in zip(believed, certainties, factors, strict=True)
            ]
            for certainties in _certainties(ballots, bool(outstanding))
            for factors in abstentions(ballots, len(outstanding))
        ]
        at_most = sum(seat.prior_weight for seat in outstanding)
        return vote(ballots, outstanding, self._similar, weighings, outstanding_weight=at_most)


def _certainties(ballots: Sequence[Ballot], more_may_come: bool) -> list[Weights]:
    """The factors that hold now, and those that hold once a member answers without logprobs."""
    unknown = [1.0] * len(ballots)
    known = [ballot.certainty_01 for ballot in ballots if ballot.certainty_01 is not None]
    if len(known) < len(ballots):
        return [unknown]
    graded = [UNSURE + (1.0 - UNSURE) * certainty for certainty in known]
    return [graded, unknown] if more_may_come else [graded]
