"""What has feedback taught about each panel, and which of its votes does a judgement speak about?"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from actors.optimizing.trust_learner import TrustLearner
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject
from actors.protocol.tasks import ANY_TASK
from actors.protocol.trust import NOBODY, Trust

VOTES_KEPT = 10_000
RIGHT_FROM_01 = 0.5  # a score above it counts as right, one below it as wrong


@dataclass(frozen=True, slots=True)
class Ballots:
    """How the members of one panel voted on one question. `answers_known`: the answers are texts, not group numbers."""

    model: str
    task_type: str
    votes: Sequence[tuple[str, str | None]] = field(repr=False)
    winner: str | None = field(repr=False)
    answers_known: bool = True


class Lessons:
    """One `TrustLearner` per panel and task type and one for all types, and the last requests' votes, for feedback.

    A panel is a model's name with those members: weights that were fitted together mean something only together.
    """

    def __init__(self, reading: Callable[[str], str | None], ballots: OrderedDict[str, Ballots] | None = None) -> None:
        """`reading`: the spelling of a gold answer in which it can be compared with votes. `ballots`: those of the last
        requests, by request, where they are known already."""
        self._reading = reading
        self._learners: dict[tuple[str, str], TrustLearner] = {}
        self.ballots: OrderedDict[str, Ballots] = OrderedDict() if ballots is None else ballots

    def note(self, outcomes: Sequence[DecisionRecord]) -> None:
        """Keeps how the members of ensembles voted, in memory alone: answers are written nowhere."""
        for outcome in outcomes:
            if (ballots := ballots_of(outcome)) is not None:
                self.ballots[outcome.request_id] = ballots
        while len(self.ballots) > VOTES_KEPT:
            self.ballots.popitem(last=False)

    def judge(self, feedback: Feedback, ballots: Ballots | None = None) -> None:
        """Learns from a judgement on a request that was noted, or on the `ballots` that are given."""
        ballots = self.ballots.get(feedback.request_id, ballots)
        if ballots is None:
            return
        possible = self._possible(feedback, ballots)
        if possible is None:
            return
        members = [member for member, _ in ballots.votes]
        for task_type in (ballots.task_type, ANY_TASK):
            learner = self._learners.setdefault((ballots.model, task_type), TrustLearner(members))
            learner.admit(members)
            learner.learn(ballots.votes, possible)

    def trust(self) -> dict[str, dict[str, Trust]]:
        """Per model, per task type, what was learned of its panel."""
        found: dict[str, dict[str, Trust]] = {}
        for (model, task_type), learner in sorted(self._learners.items()):
            found.setdefault(model, {})[task_type] = learner.trust
        return found

    def _possible(self, feedback: Feedback, ballots: Ballots) -> frozenset[str | None] | None:
        """Which answers may be right after the judgement; `None` where it says nothing about them."""
        answers = {answer for _, answer in ballots.votes if answer is not None}
        if feedback.gold is not None and ballots.answers_known:
            gold = self._reading(feedback.gold)
            if gold is not None:
                return frozenset({gold if gold in answers else NOBODY})
        preferred = next((answer for member, answer in ballots.votes if member == feedback.preferred), None)
        if preferred is not None:
            return frozenset({preferred})
        right = feedback.right
        if right is None and feedback.score_01 is not None and feedback.score_01 != RIGHT_FROM_01:
            right = feedback.score_01 > RIGHT_FROM_01
        if right is None or ballots.winner is None:
            return None
        return frozenset({ballots.winner}) if right else frozenset((answers - {ballots.winner}) | {NOBODY})


def ballots_of(outcome: DecisionRecord) -> Ballots | None:
    """The votes of an ensemble's record; `None` where nobody voted by an answer."""
    report = outcome.ensemble
    if report is None or all(vote.answer is None for vote in report.votes):
        return None
    votes = [(vote.backend, vote.answer) for vote in report.votes]
    return Ballots(outcome.model, outcome.task_type, votes, _winning(votes, report.winner))


def ballots_written(record: JsonObject) -> Ballots | None:
    """The votes of a record in the journal, where group numbers stand for answers."""
    report = record.get("ensemble")
    if not report:
        return None
    votes = [(vote["backend"], None if vote["group"] is None else str(vote["group"])) for vote in report["votes"]]
    winner = _winning(votes, report["winner"])
    return Ballots(record["model"], record["task_type"], votes, winner, answers_known=False)


def _winning(votes: Sequence[tuple[str, str | None]], winner: str | None) -> str | None:
    return next((answer for member, answer in votes if member == winner and answer is not None), None)


def trust_json(trust: Mapping[str, Mapping[str, Trust]]) -> JsonObject:
    """For reports: per model and task type the weights, rounded, and how much feedback is behind them."""
    return {
        model: {
            task: {
                "weights": {member: round(weight, 4) for member, weight in one.weights.items()},
                "doubt": round(one.doubt, 4),
                "judgements": one.judgements,
            }
            for task, one in tasks.items()
        }
        for model, tasks in trust.items()
    }
