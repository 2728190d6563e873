"""Which single answer is the best by itself?"""

from collections.abc import Sequence

from actors.ensembling.agreement import Similarity, clusters, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.protocol import Verdict, Waiting
from actors.ensembling.merges.tally import Tally, seated, verdict


class BestOfN:
    """The answer with the highest score: the judge's where a judge compared, else exp(mean logprob).

    Never early, as the last answer may be the best. An answer without a score loses to any with one, because nothing
    speaks for it; where no answer has one, prior weights decide.
    """

    wants_judge = True

    def __init__(self, similar: Similarity = token_overlap) -> None:
        self._similar = similar

    def decide(self, ballots: Sequence[Ballot], outstanding: Sequence[Seat]) -> Verdict:
        ballots = seated(ballots, outstanding)
        if outstanding:
            return Waiting()
        judged = any(ballot.judge_score_01 is not None for ballot in ballots)
        scores = [ballot.judge_score_01 if judged else ballot.certainty_01 for ballot in ballots]
        weights = [(score or 0.0) * ballot.quality_01 for score, ballot in zip(scores, ballots, strict=True)]
        tally = Tally.of(ballots, weights, clusters(ballots, self._similar))
        return verdict(tally, tally.best_of(range(len(ballots))), _reasons(len(ballots), scores.count(None), judged))


def _reasons(n_ballots: int, n_unscored: int, judged: bool) -> list[str]:
    score = "judge score" if judged else "logprobs"
    if n_unscored == n_ballots:
        return [f"no answer has {score}: weights and panel order decided"]
    return [f"{n_unscored} of {n_ballots} answers have no {score} and could not compete"] if n_unscored else []
