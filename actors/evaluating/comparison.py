"""How do the ways to play a panel compare, on questions that nothing was learned from?"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from actors.ensembling.merges import MERGES
from actors.evaluating.panels import Panel
from actors.evaluating.proofs import Proofs
from actors.evaluating.recorded import CHARS_PER_TOKEN, Marker, Question
from actors.evaluating.replay import NOTHING_TRIED, Member, Plan, Played, replay, told
from actors.evaluating.statistics import (
    Interval,
    Told,
    brier,
    expected_calibration_error,
    paired_bootstrap,
    paired_gain,
)
from actors.protocol.messages import JsonObject

BEST_SINGLE = "best single member"
MEAN_MEMBER = "mean member"
TRUE_WEIGHTS = "vote by true accuracies"
ORACLE = "any-member oracle"
LEARNED = "weighted consensus, learned"
STAGED = "learned, staged by 2"
PROVED = "best of n, code tried"
PROVED_IN_TURN = "best of n, code tried, in turn"


@dataclass(slots=True)
class Row:
    """One way to play, over the scored questions of one panel. `right`: one share, 0..1, per question."""

    name: str
    right: Sequence[float]
    calls: float
    tokens: float
    told: Sequence[Told] = ()

    @property
    def accuracy(self) -> float:
        return fmean(self.right)


@dataclass(slots=True)
class Compared:
    """All rows of one panel; the first is its best single member, known in hindsight."""

    panel: str
    rows: list[Row] = field(default_factory=list)

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)


def plans(merges: Sequence[str]) -> list[Plan]:
    """What is compared: each merge as it starts, then the learned consensus, all at once and staged."""
    return [
        *(Plan(merge, merge, hears_all=True) for merge in merges),
        Plan(LEARNED, learns=True, hears_all=True),
        Plan(STAGED, learns=True, stage=2),
    ]


def plans_for_code() -> list[Plan]:
    """What is compared where code can be tried: votes on likeness, everybody tried, and one after the other until one
    passes. Nothing of it learns."""
    return [
        *(Plan(merge, merge, hears_all=True) for merge in merges_to_replay()),
        Plan(PROVED, "best_of_n", hears_all=True, verified=True),
        Plan(PROVED_IN_TURN, "best_of_n", stage=1, verified=True),
    ]


def merges_to_replay() -> list[str]:
    """Those that need nothing but the answers: no judge, no writer, no further samples."""
    return [name for name in MERGES if name in ("majority_vote", "weighted_consensus")]


def compare(
    questions: Sequence[Question],
    panel: Panel,
    to_play: Sequence[Plan],
    marker: Marker,
    feedback: str = "gold",
    seed: int = 0,
    on_played: Callable[[], None] = lambda: None,
    proofs: Proofs = NOTHING_TRIED,
) -> Compared:
    """Plays every plan over the questions in one random order: learns on the first half, scores the second. Where no
    plan learns, all are scored."""
    name, members = panel
    shuffled = random.Random(seed).sample(questions, len(questions))
    half = len(shuffled) // 2 if any(plan.learns for plan in to_play) else 0
    scored = shuffled[half:]
    per_member = {
        member.name: [float(marker.is_right(question, question.replies[member.model])) for question in shuffled]
        for member in members
    }
    accuracy = {member: fmean(right) for member, right in per_member.items()}
    best = max(accuracy, key=lambda member: accuracy[member])
    one_call = _tokens(scored, members) / len(members)
    found = Compared(name)
    found.rows.append(Row(BEST_SINGLE, per_member[best][half:], 1, one_call))
    found.rows.append(
        Row(
            MEAN_MEMBER,
            [fmean(right[half + n] for right in per_member.values()) for n in range(len(scored))],
            1,
            one_call,
        )
    )
    # The weights of this one come from the scored questions, too: nobody could have it, it is what to come near to.
    for plan in [*to_play, Plan(TRUE_WEIGHTS, weights=accuracy, hears_all=True)]:
        to_go = shuffled if plan.learns else scored
        results = replay(to_go, members, plan, marker, half if plan.learns else 0, feedback, on_played, proofs)
        found.rows.append(_row(plan.name, results[-len(scored) :]))
    oracle = [max(right[half + n] for right in per_member.values()) for n in range(len(scored))]
    found.rows.append(Row(ORACLE, oracle, len(members), one_call * len(members)))
    return found


def pooled(compared: Sequence[Compared]) -> Compared:
    """The mean over panels: per question the mean of what the panels came to, so that intervals stay paired."""
    rows = []
    for first in compared[0].rows:
        same = [one.row(first.name) for one in compared]
        right = [fmean(values) for values in zip(*(row.right for row in same), strict=True)]
        all_told = [one for row in same for one in row.told]
        rows.append(
            Row(first.name, right, fmean(row.calls for row in same), fmean(row.tokens for row in same), all_told)
        )
    return Compared(f"mean of {len(compared)} panels", rows)


def difference(compared: Compared, name: str, against: str, seed: int = 0) -> Interval:
    """By how much one way is more accurate than another, with its paired 95 % interval."""
    pairs = zip(compared.row(name).right, compared.row(against).right, strict=True)
    return paired_bootstrap([one - other for one, other in pairs], random.Random(seed))


def gain(compared: Compared, name: str, against: str, seed: int = 0) -> Interval:
    """By which share of the other's accuracy one way is more accurate, with its paired 95 % interval."""
    return paired_gain(compared.row(name).right, compared.row(against).right, random.Random(seed))


def as_json(compared: Compared) -> JsonObject:
    """The table as JSON, differences to the best single member and to the vote by true accuracies included."""
    return {
        "panel": compared.panel,
        "questions": len(compared.rows[0].right),
        "rows": [
            {
                "name": row.name,
                "accuracy": row.accuracy,
                "calls": row.calls,
                "tokens": row.tokens,
                "against_best_single": difference(compared, row.name, BEST_SINGLE)._asdict(),
                "gain_over_best_single": gain(compared, row.name, BEST_SINGLE)._asdict(),
                "against_true_weights": difference(compared, row.name, TRUE_WEIGHTS)._asdict(),
                "brier": brier(row.told),
                "expected_calibration_error": expected_calibration_error(row.told),
            }
            for row in compared.rows
        ],
    }


def _row(name: str, played: Sequence[Played]) -> Row:
    return Row(
        name,
        [float(one.right) for one in played],
        fmean(one.calls for one in played),
        fmean(one.tokens for one in played),
        told(played),
    )


def _tokens(questions: Sequence[Question], members: Sequence[Member]) -> float:
    """Tokens per question when all members are asked, estimated from lengths."""
    return fmean(
        sum((len(question.prompt) + len(question.replies[member.model].text)) / CHARS_PER_TOKEN for member in members)
        for question in questions
    )
