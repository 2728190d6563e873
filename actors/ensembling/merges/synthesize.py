"""Whose answer stands in for the one that is to be written from all of them?"""

from collections.abc import Sequence

from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.weighted_consensus import WeightedConsensus


class Synthesize(WeightedConsensus):
    """The weighted consensus of all members: what is known of the answer that is then written, and what is given where
    it cannot be. Never early, as every answer is read by who writes."""

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        return Waiting() if outstanding else super().decide(ballots, outstanding)
