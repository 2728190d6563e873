"""What is the next step of one fan-out: wait, ask the judge, or end, and how good is that end?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from actors.ensembling.agreement import Similarity, clusters, token_overlap
from actors.ensembling.ballot import Ballot, Reading, Seat, ballot_of
from actors.ensembling.extraction import final_answer
from actors.ensembling.judging import MAX_CANDIDATES, JudgeQuestion, JudgeReply, questions, scores
from actors.ensembling.merges import BY_PANEL
from actors.ensembling.merges.protocol import Decided, Waiting
from actors.ensembling.proving import Proving
from actors.ensembling.screening import Screening
from actors.ensembling.wanted import undressed, wanted_by
from actors.protocol.messages import Answer, EnsembleReport, Failure, Outcome
from actors.protocol.trials import Trial, TrialResult
from actors.protocol.trust import Trust

F = TypeVar("F", bound=Callable[..., Any])

CALIBRATED_FROM = 20  # judgements from which on learned confidence is better than the rule of thumb


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody who can change the result has not answered yet."""

    outstanding: Sequence[str]


@dataclass(frozen=True, slots=True)
class AskMore:
    """What was heard does not suffice: these members should be asked, too, and `Panel.invite` be told so."""

    members: Sequence[str]


@dataclass(frozen=True, slots=True)
class AskJudge:
    """All members are heard; a judge should compare them. Its replies go to `Panel.hear_judge`, in this order."""

    questions: Sequence[JudgeQuestion]


@dataclass(frozen=True, slots=True)
class AskVerifier:
    """Code was answered to a question that gives examples. What comes of the trials goes to `Panel.hear_verifier`, in
    this order."""

    trials: Sequence[Trial]


@dataclass(frozen=True, slots=True)
class Done:
    """The merged answer. Members in `cancel` are still running and cannot change it."""

    answer: Answer
    report: EnsembleReport
    cancel: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Nobody answered; `failures` says why, one per member."""

    failures: Sequence[Failure]
    report: EnsembleReport


Step = Wait | AskMore | AskJudge | AskVerifier | Done | Failed


@dataclass(slots=True)  # not frozen, since every request makes one
class PanelRules:
    """How one ensemble decides. `weights`: per backend, at least 0, 1 where unnamed. `quorum`: answers that make a
    result whole, a majority of the members when `None`. `judged`: a judge can be asked, if the merge wants one;
    `judge_logprobs`: it can give logprobs. `trust`: what feedback taught about the members, their weights among it.
    `stage`: so many members are asked at a time, all when `None`; no more of them once what was heard suffices: those
    heard agree, or where `min_confidence_01` is above 0, the confidence reaches it. `verified`: code can be tried, on
    the examples of the question or on `checks` where they are given; once some passes all, no more members are asked.
    """

    merge: str = "weighted_consensus"
    weights: Mapping[str, float] = field(default_factory=dict)
    quorum: int | None = None
    judged: bool = False
    judge_logprobs: bool = False
    trust: Trust | None = None
    stage: int | None = None
    min_confidence_01: float = 0.0
    drop: Sequence[str] = ()
    verified: bool = False
    checks: Sequence[str] = ()


class Panel:
    """The state of one fan-out. Report what happens (`hear`, `hear_judge`, `expire`), then ask for the `step`.

    `asked`: the members in panel order; a backend may sit there more than once. `body`: the caller's request.
    """

    def __init__(
        self,
        asked: Sequence[str],
        rules: PanelRules,
        body: Mapping[str, Any],
        similar: Similarity = token_overlap,
        reading: Reading = final_answer,
    ) -> None:
        self._asked = asked
        self._rules = rules
        self._body = body
        self._wanted = wanted_by(body)
        self._similar = _remembering(similar)  # texts are compared again at every arrival
        self._reading = _remembering(reading)  # members often say the same
        self._strategy = BY_PANEL[rules.merge](self._similar)
        self._invited = len(asked) if rules.stage is None else min(rules.stage, len(asked))
        self._answers: dict[int, Answer] = {}
        self._ballots: dict[int, Ballot] = {}
        self._failures: dict[int, Failure] = {}
        self._judge_due = rules.judged and self._strategy.wants_judge
        taught = rules.trust is not None and rules.trust.judgements >= CALIBRATED_FROM
        # What feedback taught holds already who says the same as whom; samples of one model, and JSON, are meant to.
        copies_count = taught or rules.merge == "self_consistency" or self._wanted.as_json
        self._screening = Screening(body, rules.drop, copies_count)
        self._proving = Proving(body, self._ballots, rules.checks) if rules.verified else None
        self._candidates: list[list[int]] = []
        self._questions: list[JudgeQuestion] = []
        self._reasons: list[str] = []
        self._is_expired = False
        self._next: Step | None = None  # the step that follows from what was heard, once it was asked for

    @property
    def outstanding(self) -> list[str]:
        """The members that were asked and have neither answered nor failed, in panel order."""
        return [self._asked[seat] for seat in self._open_seats()]

    @property
    def invited(self) -> Sequence[str]:
        """The members that are to be asked so far, in panel order."""
        return self._asked[: self._invited]

    @property
    def answers(self) -> Sequence[Answer]:
        """What was answered so far, in panel order."""
        return [self._answers[seat] for seat in sorted(self._answers)]

    def invite(self) -> None:
        """Records that the members of `AskMore` are being asked."""
        self._invited = min(self._invited + (self._rules.stage or 0), len(self._asked))
        self._next = None

    @property
    def _quorum(self) -> int:
        """How many answers make a result whole: never more than members that were asked."""
        wanted = self._rules.quorum if self._rules.quorum is not None else self._invited // 2 + 1
        return min(wanted, self._invited)

    def hear(self, outcome: Outcome) -> None:
        """Records a member's outcome. Raises `ValueError` for a backend that is not outstanding."""
        seat = next((seat for seat in self._open_seats() if self._asked[seat] == outcome.backend), None)
        if seat is None:
            raise ValueError(f"No outcome of '{outcome.backend}' is outstanding.")
        self._next = None
        if isinstance(outcome, Failure):
            self._failures[seat] = outcome
            return
        ballot = ballot_of(outcome, seat, self._weight(outcome.backend), self._wanted, self._reading)
        self._ballots[seat] = ballot
        self._screening.note(ballot)
        self._answers[seat] = outcome

    def expire(self, after_ms: float) -> None:
        """Ends the waiting at the deadline: whoever is outstanding has failed, and no judge is asked any more."""
        self._judge_due = False
        self._is_expired = True
        self._next = None
        self._reasons.append("deadline expired")
        for seat in self._open_seats():
            backend = self._asked[seat]
            message = f"'{backend}' had not answered when the ensemble's deadline passed."
            self._failures[seat] = Failure(backend, "deadline_exceeded", message, 504, True, after_ms)

    def hear_judge(self, replies: Sequence[JudgeReply | None]) -> None:
        """Records the judge's replies, one per question of `AskJudge`, `None` where the call failed."""
        self._judge_due = False
        self._next = None
        found = scores(self._questions, replies)
        if found is None:
            self._reasons.append("judge failed: none of its comparisons could be read")
            return
        for candidate, score_01 in found.items():
            for seat in self._candidates[candidate]:
                self._ballots[seat] = replace(self._ballots[seat], judge_score_01=score_01)

    def hear_verifier(self, results: Sequence[TrialResult]) -> None:
        """Records what came of the trials of `AskVerifier`, one result each."""
        self._next = None
        if self._proving is not None:
            self._proving.hear(results)

    def step(self) -> Step:
        """What to do next, by what was heard so far."""
        if self._next is None:
            self._next = self._decided()
        return self._next

    def _decided(self) -> Step:
        open_seats = self._open_seats()
        if not self._ballots:
            if open_seats:
                return Wait(self.outstanding)
            return AskMore(idle) if (idle := self._next_stage()) else self._failed()
        if self._proving is not None and not self._is_expired and (trials := self._proving.due()):
            return AskVerifier(trials)
        idle = self._next_stage()
        if self._judge_due and not self._is_proved and not open_seats and not idle and self._prepare_judge():
            return AskJudge(self._questions)
        if open_seats and len(self._ballots) < self._quorum:
            return Wait(self.outstanding)
        ballots = self._screening.screened(list(self._ballots.values()))
        if open_seats and self._screening.is_in_dispute(ballots):
            return Wait(self.outstanding)
        uninvited = () if self._is_expired else range(self._invited, len(self._asked))
        verdict = self._strategy.decide(ballots, self._seats([*open_seats, *uninvited]))
        if isinstance(verdict, Waiting) and not open_seats and idle:
            so_far = self._strategy.decide(ballots, ())
            if not isinstance(so_far, Decided) or not self._suffices(so_far):
                return AskMore(idle)
            verdict = replace(so_far, decided_early=True)
        if isinstance(verdict, Waiting):
            return Wait(self.outstanding)
        answer = self._answers[verdict.winner.seat]
        answer = undressed(answer) if self._wanted.as_json and not verdict.winner.tool_calls else answer
        return Done(answer, self._report(verdict), self.outstanding)

    def _next_stage(self) -> Sequence[str]:
        if self._is_expired:
            return ()
        return self._asked[self._invited : self._invited + (self._rules.stage or 0)]

    @property
    def _is_proved(self) -> bool:
        return self._proving is not None and self._proving.is_proved

    def _suffices(self, so_far: Decided) -> bool:
        """Whether nobody else need be asked."""
        if self._is_proved:
            return so_far.winner.passed_01 == 1.0
        if self._rules.min_confidence_01 > 0 or self._rules.merge == "cascade":
            confidence_01 = self._confidence_01(so_far)
            return (confidence_01 or 0.0) >= self._rules.min_confidence_01
        answers = {ballot.final_answer for ballot in self._ballots.values()}
        return len(self._ballots) > 1 and len(answers) == 1 and None not in answers

    def _confidence_01(self, verdict: Decided) -> float | None:
        """The probability that feedback taught for such votes, or the strategy's own estimate."""
        trust, said = self._rules.trust, verdict.winner.final_answer
        if trust is None or trust.judgements < CALIBRATED_FROM or said is None:
            return verdict.confidence_01
        return trust.beliefs([(ballot.backend, ballot.final_answer) for ballot in self._ballots.values()])[said]

    def _seats(self, places: Sequence[int]) -> list[Seat]:
        return [Seat(self._asked[seat], self._weight(self._asked[seat])) for seat in places]

    def _prepare_judge(self) -> bool:
        """Whether there is anything to compare: one candidate per group that says the same, best weight first."""
        if not self._questions:
            ballots = [self._ballots[seat] for seat in sorted(self._ballots)]
            groups = [[ballots[place] for place in group] for group in clusters(ballots, self._similar)]
            groups.sort(key=lambda group: -sum(ballot.prior_weight * ballot.quality_01 for ballot in group))
            self._candidates = [[ballot.seat for ballot in group] for group in groups[:MAX_CANDIDATES]]
            texts = [_shown_to_judge(group[0]) for group in groups]
            self._questions = questions(self._body.get("messages", ()), texts, self._rules.judge_logprobs)
        return bool(self._questions)

    def _failed(self) -> Failed:
        failures = [self._failures[seat] for seat in sorted(self._failures)]
        return Failed(failures, self._report(None))

    def _report(self, verdict: Decided | None) -> EnsembleReport:
        degradations = self._degradations(verdict.winner if verdict else None)
        notes = [] if self._proving is None else self._proving.notes
        return EnsembleReport(
            asked=self._invited,
            answered=len(self._ballots),
            quorum=self._quorum,
            merge=self._rules.merge,
            winner=verdict.winner.backend if verdict else None,
            confidence_01=self._confidence_01(verdict) if verdict else None,
            support_01=verdict.support_01 if verdict else None,
            decided_early=verdict.decided_early if verdict else False,
            degraded=bool(degradations),
            votes=verdict.votes if verdict else (),
            failures=[self._failures[seat] for seat in sorted(self._failures)],
            reasons=[*degradations, *notes, *(verdict.reasons if verdict else ())],
        )

    def _degradations(self, winner: Ballot | None) -> list[str]:
        """Why the result is less than what was asked for; empty when it is not."""
        found = [*self._reasons, *([] if self._proving is None else self._proving.degradations)]
        if winner is not None and not {"malformed", "invalid"}.isdisjoint(winner.flaws):
            found.append("no answer has the shape that was asked for")
        if len(self._ballots) < self._quorum:
            found.append(f"quorum missed: {len(self._ballots)} of {self._quorum} answers")
        found.extend(f"'{self._asked[seat]}' failed: {self._failures[seat].code}" for seat in sorted(self._failures))
        return found

    def _open_seats(self) -> list[int]:
        return [seat for seat in range(self._invited) if seat not in self._ballots and seat not in self._failures]

    def _weight(self, backend: str) -> float:
        configured = self._rules.weights.get(backend, 1.0)
        trust = self._rules.trust
        return configured if trust is None else configured * trust.weights.get(backend, 1.0)


def _remembering(function: F) -> F:
    """The function, asked once for the same arguments. Made per request, for which `functools.cache` is too slow."""
    known: dict[tuple[str, ...], Any] = {}

    def remembered(*arguments: str) -> Any:
        if arguments not in known:
            known[arguments] = function(*arguments)
        return known[arguments]

    return cast(F, remembered)


def _shown_to_judge(ballot: Ballot) -> str:
    """The text of an answer, or the tool calls where that is all it says."""
    return ballot.text or ballot.final_answer or "(no answer)"
