"""Which single answer is the best by itself?"""

from collections.abc import Callable, Sequence

from actors.ensembling.agreement import Similarity, clusters, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.tally import Tally, seated, verdict

VERIFIED = "verifier's verdict"


class BestOfN:
    """The answer with the highest score: the share of the question's examples that its code passes where code was
    tried, else the judge's where a judge compared, else exp(mean logprob).

    Early only for code that passes every example, as none can be better; elsewhere the last answer may be the best. An
    answer without a score loses to any with one, because nothing speaks for it; between equals prior weights decide.
    """

    wants_judge = True

    def __init__(self, similar: Similarity = token_overlap) -> None:
        self._similar = similar

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        ballots = seated(ballots, outstanding)
        if outstanding and not any(ballot.passed_01 == 1.0 for ballot in ballots):
            return Waiting()
        kind, score_of = _scoring(ballots)
        scores = [score_of(ballot) for ballot in ballots]
        weights = [(score or 0.0) * ballot.quality_01 for score, ballot in zip(scores, ballots, strict=True)]
        by_itself = kind is VERIFIED  # code that looks alike need not do the same
        groups = [[place] for place in range(len(ballots))] if by_itself else clusters(ballots, self._similar)
        tally = Tally.of(ballots, weights, groups)
        winner = tally.best_of(range(len(ballots)))
        return verdict(tally, winner, _reasons(len(ballots), scores.count(None), kind), bool(outstanding))


def _scoring(ballots: Sequence[Ballot]) -> tuple[str, Callable[[Ballot], float | None]]:
    """What the answers compete by, the surest there is, and where a ballot has it."""
    if any(ballot.passed_01 is not None for ballot in ballots):
        return VERIFIED, lambda ballot: ballot.passed_01
    if any(ballot.judge_score_01 is not None for ballot in ballots):
        return "judge score", lambda ballot: ballot.judge_score_01
    return "logprobs", lambda ballot: ballot.certainty_01


def _reasons(n_ballots: int, n_unscored: int, score: str) -> list[str]:
    if n_unscored == n_ballots:
        return [f"no answer has {score}: weights and panel order decided"]
    return [f"{n_unscored} of {n_ballots} answers have no {score} and could not compete"] if n_unscored else []
