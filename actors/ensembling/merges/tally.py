"""How are weighted votes counted, and when can nobody change the result any more?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actors.ensembling.agreement import Similarity, clusters
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.confidence import confidence_01
from actors.ensembling.merges.protocol import Decided, Verdict, Waiting
from actors.protocol.messages import Vote

Weights = Sequence[float]
"""One per ballot, at least 0, not normalised."""

ABSTAINED = 0.1  # what a reply without a final answer still counts where the question plainly has one
_TIE = 12  # decimals of a share: closer than that is rounding, and a tie


@dataclass(slots=True)  # not frozen, since every request makes several
class Tally:
    """The count of one set of weights. `shares`: one per ballot, sum to 1; `groups`: ballots that say the same."""

    ballots: Sequence[Ballot]
    weights: Weights
    shares: Sequence[float]
    groups: Sequence[Sequence[int]]

    @classmethod
    def of(cls, ballots: Sequence[Ballot], weights: Weights, groups: Sequence[Sequence[int]]) -> "Tally":
        total = math.fsum(weights)
        shares = [weight / total for weight in weights] if total > 0 else [1 / len(ballots)] * len(ballots)
        return cls(ballots, weights, shares, groups)

    def share_of(self, group: Sequence[int]) -> float:
        return math.fsum(self.shares[place] for place in group)

    def leading_group(self) -> Sequence[int]:
        """The group with the largest share; ties go to prior weight, then to the surest member, then to the seat."""
        return max(self.groups, key=self._rank) if len(self.groups) > 1 else self.groups[0]

    def best_of(self, group: Sequence[int]) -> int:
        """The ballot of a group whose text is shown: most weight, with the same order of ties."""
        return max(group, key=self._rank_of_one)

    def is_settled(self, group: Sequence[int], outstanding_weight: float) -> bool:
        """Whether no answers of that total weight can take the lead from `group`.

        An outstanding text may turn out to be like several others and unite them, so all groups of free text but
        the leader count as one rival.
        """
        standing = [(other, math.fsum(self.weights[place] for place in other)) for other in self.groups]
        lead = next(weight for other, weight in standing if other == group)
        rivals = [(other, weight) for other, weight in standing if other != group]
        named = [weight for other, weight in rivals if self.ballots[other[0]].final_answer is not None]
        united = math.fsum(weight for other, weight in rivals if self.ballots[other[0]].final_answer is None)
        at_stake = max([united, *named]) + outstanding_weight
        return lead > at_stake and not math.isclose(lead, at_stake, rel_tol=1e-9)

    def _rank(self, group: Sequence[int]) -> tuple[float, float, float, int]:
        members = [self.ballots[place] for place in group]
        return (
            round(self.share_of(group), _TIE),
            round(math.fsum(ballot.prior_weight for ballot in members), _TIE),
            max(-math.inf if ballot.logprob_mean is None else ballot.logprob_mean for ballot in members),
            -min(ballot.seat for ballot in members),
        )

    def _rank_of_one(self, place: int) -> tuple[float, float, float, int]:
        ballot = self.ballots[place]
        logprob_mean = -math.inf if ballot.logprob_mean is None else ballot.logprob_mean
        return round(self.shares[place], _TIE), round(ballot.prior_weight, _TIE), logprob_mean, -ballot.seat


def vote(
    ballots: Sequence[Ballot],
    outstanding: Sequence[Seat],
    similar: Similarity,
    weighings: Sequence[Weights],
    outstanding_weight: float,
) -> Verdict:
    """The verdict of a vote over `ballots`, which are in seat order.

    `weighings[0]` holds the weights if nobody else answers, the others those that further answers may bring into
    force; `outstanding_weight` is the most that the outstanding members can add under any of them. Decided early only
    if the same group leads beyond reach under every weighing.
    """
    groups = clusters(ballots, similar)
    tally = Tally.of(ballots, weighings[0], groups)
    group = tally.leading_group()
    if outstanding and not all(
        Tally.of(ballots, weights, groups).is_settled(group, outstanding_weight) for weights in weighings
    ):
        return Waiting()
    return verdict(tally, tally.best_of(group), decided_early=bool(outstanding))


def verdict(tally: Tally, winner: int, reasons: Sequence[str] = (), decided_early: bool = False) -> Decided:
    """The decision for the ballot at place `winner`, with support, confidence and votes from the tally."""
    ballots, shares = tally.ballots, tally.shares
    group = next(group for group in tally.groups if winner in group)
    support_01 = min(1.0, tally.share_of(group))
    compared = ballots[winner].final_answer is not None or len(group) > 1
    return Decided(
        winner=ballots[winner],
        confidence_01=confidence_01(ballots[winner], shares, support_01, len(tally.groups), compared),
        support_01=support_01,
        votes=[
            Vote(ballot.backend, ballot.final_answer, share, ballot.certainty_01, ballot.passed_01)
            for ballot, share in zip(ballots, shares, strict=True)
        ],
        reasons=reasons,
        decided_early=decided_early,
    )


def seated(ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> list[Ballot]:
    """The ballots in panel order. Raises `ValueError` when there is nothing to decide and nothing to wait for."""
    if not ballots and not outstanding:
        raise ValueError("A merge needs at least one answer.")
    return sorted(ballots, key=lambda ballot: ballot.seat)


def abstentions(ballots: Sequence[Ballot], n_outstanding: int) -> list[Weights]:
    """By which factors to read the ballots: the reading that holds now first, then the one that may come to hold.

    Where at least half of the ballots state a final answer, the question has one, and replies without hardly count.
    Where fewer do, texts are what is compared, and all count alike.
    """
    n_stated = sum(ballot.final_answer is not None for ballot in ballots)
    n_silent = len(ballots) - n_stated
    answers_count = [1.0 if ballot.final_answer is not None else ABSTAINED for ballot in ballots]
    texts_count = [1.0] * len(ballots)
    if n_stated >= n_silent:
        return [answers_count] if n_stated >= n_silent + n_outstanding else [answers_count, texts_count]
    return [texts_count] if n_stated + n_outstanding < n_silent else [texts_count, answers_count]
