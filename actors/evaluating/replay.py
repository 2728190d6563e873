"""What would the gateway have answered, had these members given their recorded answers?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from actors.ensembling.ensembler import MultiModelEnsembler
from actors.ensembling.panel import AskMore, AskVerifier, Done, Failed, Wait
from actors.evaluating.proofs import Proofs, body_of
from actors.evaluating.recorded import Marker, Question, answer_of
from actors.evaluating.statistics import Told
from actors.optimizing.lessons import Ballots, Lessons
from actors.protocol.messages import EnsembleReport, Feedback
from actors.protocol.trust import Trust

NOTHING_TRIED: Proofs = {}


@dataclass(frozen=True, slots=True)
class Member:
    """A seat of a panel: `name` is its own, also where another seat has the same `model`, whose answers it gives."""

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to play a panel. `learns`: weights follow from feedback; `stage`: so many members are asked at a time.
    `hears_all`: nothing is decided before everybody asked has answered. `verified`: code is tried."""

    name: str
    merge: str = "weighted_consensus"
    learns: bool = False
    stage: int | None = None
    min_confidence_01: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    hears_all: bool = False
    verified: bool = False


@dataclass(slots=True)
class Played:
    """What one question came to. `confidence_01` is `None` where the gateway gives none."""

    right: bool
    calls: int
    tokens: int
    confidence_01: float | None = None
    winner: str | None = None


def play(
    question: Question,
    members: Sequence[Member],
    plan: Plan,
    marker: Marker,
    trust: Trust | None = None,
    proofs: Proofs = NOTHING_TRIED,
) -> tuple[Played, EnsembleReport]:
    """The outcome of one question through the very panel that serves requests; members answer in panel order."""
    replies = {member.name: answer_of(question, member.model, member.name) for member in members}
    panel = MultiModelEnsembler(plan.merge, reading=marker.read).panel(
        asked=_in_order(members, plan, trust),
        body=body_of(question) if plan.verified else {},
        weights=plan.weights,
        quorum=len(members) if plan.hears_all else None,
        trust=trust,
        stage=plan.stage,
        min_confidence_01=plan.min_confidence_01,
        verified=plan.verified,
        checks=question.visible_tests,
    )
    heard: list[str] = []
    while not isinstance(step := panel.step(), Done | Failed):
        if isinstance(step, AskMore):
            panel.invite()
        elif isinstance(step, Wait):
            heard.append(panel.outstanding[0])
            panel.hear(replies[heard[-1]])
        elif isinstance(step, AskVerifier):
            panel.hear_verifier([proofs[trial] for trial in step.trials])
        else:
            raise AssertionError("No judge is asked in a replay.")
    if isinstance(step, Failed):
        raise AssertionError("Recorded answers do not fail.")
    models = {member.name: member.model for member in members}
    right = marker.is_right(question, question.replies[models[step.answer.backend]])
    usages = (replies[name].completion.usage for name in panel.invited)
    tokens = sum(usage.total_tokens for usage in usages if usage is not None)
    played = Played(right, len(panel.invited), tokens, step.report.confidence_01, step.answer.backend)
    return played, step.report


def replay(
    questions: Sequence[Question],
    members: Sequence[Member],
    plan: Plan,
    marker: Marker,
    n_learning: int,
    feedback: str = "gold",
    on_played: Callable[[], None] = lambda: None,
    proofs: Proofs = NOTHING_TRIED,
) -> list[Played]:
    """Plays the questions in order, one result each; a plan that learns gets feedback on the first `n_learning`.

    `feedback`: `gold` tells the right answer, `verdict` only whether the merged one was right.
    """
    lessons = Lessons(marker.read)
    results: list[Played] = []
    for number, question in enumerate(questions):
        trust = lessons.trust().get("panel", {}).get("task") if plan.learns else None
        # While it learns, all are asked: who is not asked is not learned about.
        learning = plan.learns and number < n_learning
        asked = Plan(plan.name, plan.merge, plan.learns, weights=plan.weights, hears_all=True) if learning else plan
        played, report = play(question, members, asked, marker, trust, proofs)
        results.append(played)
        if learning:
            _teach(lessons, question, played, report, marker, feedback)
        on_played()
    return results


def told(played: Sequence[Played]) -> list[Told]:
    """The confidences that were given, beside what came of them."""
    return [Told(one.confidence_01, one.right) for one in played if one.confidence_01 is not None]


def _in_order(members: Sequence[Member], plan: Plan, trust: Trust | None) -> list[str]:
    """Where not all are asked at once, those that are believed most come first, as in the gateway."""
    names = [member.name for member in members]
    if plan.stage is None or plan.merge == "cascade":
        return names
    return sorted(names, key=lambda name: -plan.weights.get(name, 1.0) * (trust.weights.get(name, 1.0) if trust else 1))


def _teach(
    lessons: Lessons, question: Question, played: Played, report: EnsembleReport, marker: Marker, feedback: str
) -> None:
    votes = [(vote.backend, vote.answer) for vote in report.votes]
    winner = next((answer for member, answer in votes if member == played.winner), None)
    gold = f"The answer is {question.gold}" if feedback == "gold" and marker.gold(question) is not None else None
    judgement = Feedback(question.name, correct=played.right, gold=gold)
    lessons.judge(judgement, Ballots("panel", "task", votes, winner))
